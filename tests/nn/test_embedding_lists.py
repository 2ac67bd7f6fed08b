"""Lists of ids and row-sparse tables, against one `nn.Embedding` a feature and a loop over the rows."""

import pytest
import torch
from torch import Tensor

from trunkline.errors import UserError
from trunkline.nn.embedding import MISSING, UNSEEN, Embedding
from trunkline.nn.inputs import ListFeature, Ragged

ROWS, WIDTHS = [9, 30, 5], [4, 3, 4]
LISTS = [
    ListFeature(rows=20, width=4, pool="mean"),
    ListFeature(width=3, pool="attention", target=1),
    ListFeature(rows=8, width=2, pool="sum"),
    ListFeature(width=4, pool="mean", target=2),
]
LENGTHS = [[2, 0, 5, 1], [3, 1, 0, 2], [0, 0, 1, 7], [1, 1, 1, 1]]
each_threshold = pytest.mark.parametrize("above", [None, 0, 8, 25], ids=["dense", "sparse", "mixed", "one"])


def embed(above: int | None = None, **changes) -> Embedding:
    torch.manual_seed(0)
    return Embedding(ROWS, WIDTHS, 2, lists=LISTS, scale=1.0, sparse_above=above, **changes).double()


def batch(*, dtype=torch.int32, seed=1) -> tuple[Tensor, Tensor, list[Ragged]]:
    generator = torch.Generator().manual_seed(seed)
    n = len(LENGTHS[0])
    ids = torch.stack([torch.randint(0, rows, (n,), generator=generator) for rows in ROWS], 1).to(dtype)
    lists = []
    for feature, lengths in zip(LISTS, LENGTHS, strict=True):
        rows = feature.rows if feature.target is None else ROWS[feature.target]
        values = torch.randint(0, min(rows, 6), (sum(lengths),), generator=generator).to(dtype)
        lists.append(Ragged(values, torch.tensor([0, *lengths]).cumsum(0)))
    return ids, torch.randn(n, 2, generator=generator, dtype=torch.float64), lists


def one_by_one(embedding: Embedding, ids: Tensor, numbers: Tensor, lists: list[Ragged]) -> Tensor:
    """The definition, row by row, with each feature's own slice of its table."""
    own: dict[str, Tensor] = {}
    for layout, table in zip(embedding.layout, embedding.in_order(), strict=True):
        for column, start in zip(layout.columns, layout.starts, strict=True):
            own[f"column {column}"] = table[start : start + ROWS[column]]
        for i, start in zip(layout.lists, layout.list_starts, strict=True):
            target = LISTS[i].target
            own[f"list {i}"] = table[start : start + (LISTS[i].rows if target is None else ROWS[target])]
    out = []
    for n in range(len(ids)):
        parts = []
        for layout in embedding.layout:
            parts += [own[f"column {c}"][ids[n, c]] for c in layout.columns]
            for i in layout.lists:
                keys = own[f"list {i}"][lists[i].values[lists[i].offsets[n] : lists[i].offsets[n + 1]].long()]
                feature = LISTS[i]
                if not len(keys):
                    parts.append(torch.zeros(feature.width, dtype=torch.float64))
                elif feature.pool == "attention":
                    query = own[f"column {feature.target}"][ids[n, feature.target]].expand_as(keys)
                    unit = embedding.attention[str(i)].unit
                    score = unit(torch.cat([keys, query, query - keys, query * keys], 1)).squeeze(1)
                    parts.append(score.softmax(0) @ keys)
                else:
                    parts.append(keys.mean(0) if feature.pool == "mean" else keys.sum(0))
        out.append(torch.cat([*parts, numbers[n]]))
    return torch.stack(out)


def gradients(embedding: Embedding) -> list[Tensor]:
    found = [p.grad if p.grad is not None else torch.zeros_like(p) for p in embedding.parameters()]
    return [g.to_dense() if g.is_sparse else g for g in found]


@each_threshold
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("way", ["as it comes", "found before", "gathered"])
def test_is_what_its_definition_says_gradients_included(above, dtype, way):
    embedding, inputs = embed(above), batch(dtype=dtype)
    ids, numbers, lists = inputs
    if way == "gathered":
        leaves, found = embedding.gather(ids, lists)
        out = embedding.place(leaves, found, numbers, lists)
    else:
        out = embedding(*inputs, embedding.plan_lookups(ids, lists) if way == "found before" else None)
    assert out.shape == (len(ids), embedding.out_features)
    weights = torch.randn(out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    (out * weights).sum().backward()
    ours = gradients(embedding)
    embedding.zero_grad()
    expected = one_by_one(embedding, *inputs)
    (expected * weights).sum().backward()
    assert torch.allclose(out, expected, rtol=0, atol=1e-12)
    for mine, theirs in zip(ours, gradients(embedding), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-12)


@each_threshold
def test_without_gradients_it_gives_the_same(above):
    embedding, inputs = embed(above), batch()
    with torch.no_grad():
        assert torch.equal(
            embedding(*inputs), embedding(*inputs, embedding.plan_lookups(inputs[0], inputs[2], every=True))
        )
    assert torch.allclose(embedding(*inputs), one_by_one(embedding, *inputs), rtol=0, atol=1e-12)


def test_long_features_are_row_sparse_and_short_ones_dense():
    embedding, inputs = embed(8), batch()
    assert [table.sparse for table in embedding.layout] == [False, True, False, True]  # by width 2, 3, 4, 4
    assert [len(table) for table in embedding.row_sparse()] == [30, 9 + 20]
    embedding(*inputs).sum().backward()
    for layout, table in zip(embedding.layout, embedding.in_order(), strict=True):
        assert table.grad.is_sparse == layout.sparse
        if layout.sparse:
            rows = table.grad._indices()[0]
            assert torch.equal(rows, rows.unique())


def test_a_list_shares_the_table_of_its_target():
    embedding = Embedding([6], [2], 0, lists=[ListFeature(width=2, pool="mean", target=0)])
    assert [tuple(table.shape) for table in embedding.tables] == [(6, 2)]
    out = embedding(torch.tensor([[4]]), torch.empty(1, 0), [Ragged(torch.tensor([4]), torch.tensor([0, 1]))])
    assert torch.equal(out[:, :2], out[:, 2:])


def test_missing_and_unseen_of_lists_start_at_zero():
    embedding = Embedding([], [], 0, lists=[ListFeature(rows=7, width=2, pool="sum")] * 2)
    (table,) = embedding.tables
    zero = (table == 0).all(1).nonzero().flatten().tolist()
    assert zero == [MISSING, UNSEEN, 7 + MISSING, 7 + UNSEEN]


@each_threshold
def test_the_state_makes_a_copy_whatever_is_sparse(above):
    one, other = embed(above), embed(above)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1.0)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(*batch()), other(*batch()))


def test_a_long_table_of_half_precision_inputs_under_autocast():
    embedding, (ids, numbers, lists) = embed(0).float(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        out = embedding(ids, numbers.float(), lists)
    out.float().sum().backward()
    for table in embedding.row_sparse():
        assert table.grad.dtype == torch.float32
        assert table.grad.coalesce().values().isfinite().all()


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([ListFeature(rows=5, width=2, pool="max")], "pool 'max'; it is one of mean, sum, attention"),
        ([ListFeature(rows=1, width=2, pool="sum")], "rows 1 and width 2"),
        ([ListFeature(rows=5, width=2, pool="attention")], "attention needs a target"),
        ([ListFeature(width=2, pool="mean", target=1)], "target 1 is none of the 1 categorical features"),
        ([ListFeature(width=3, pool="mean", target=0)], "width 3; its target's vectors are 2 wide"),
    ],
)
def test_impossible_lists_are_refused(lists, message):
    with pytest.raises(UserError, match=message):
        Embedding([5], [2], 0, lists=lists)


def test_lists_that_are_not_given_and_a_negative_threshold_are_refused():
    ids, numbers, lists = batch()
    with pytest.raises(UserError, match="3 lists of ids were given; there are 4 list features"):
        embed()(ids, numbers, lists[:3])
    with pytest.raises(UserError, match="sparse_above -1"):
        Embedding([5], [2], 0, sparse_above=-1)
