import pytest
import torch
from torch import Tensor, nn

from trunkline.embedding import MISSING, UNSEEN, Embedding
from trunkline.errors import UserError

FEATURES = {  # rows and widths of the categorical features, and the number of numeric inputs
    "one": ([5], [3], 0),
    "one and numbers": ([5], [3], 2),
    "same widths": ([5, 2, 9], [4, 4, 4], 1),
    "unequal widths": ([5, 2, 9, 3, 7], [4, 1, 4, 8, 1], 3),
    "widest first": ([2, 3], [8, 2], 0),
    "numbers only": ([], [], 4),
}
each = pytest.mark.parametrize(("rows", "widths", "numbers"), FEATURES.values(), ids=FEATURES.keys())


def batch(rows: list[int], numbers: int, n: int, *, dtype: torch.dtype = torch.int64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(0, count, (n,), generator=generator) for count in rows]
    columns = torch.stack(ids, dim=1) if ids else torch.empty(n, 0)
    return columns.to(dtype), torch.randn(n, numbers, generator=generator)


def by_hand(embedding: Embedding, rows: list[int], widths: list[int]) -> dict[int, nn.Embedding]:
    """Each feature's own `nn.Embedding`, cut out of the tables: one table a width, features in order."""
    own = {}
    for table, width in zip(embedding.tables, sorted(set(widths)), strict=True):
        members = [i for i, w in enumerate(widths) if w == width]
        assert table.shape == (sum(rows[i] for i in members), width)
        for i, vectors in zip(members, table.split([rows[i] for i in members]), strict=True):
            own[i] = nn.Embedding.from_pretrained(vectors)
    return own


@each
@pytest.mark.parametrize("n", [1, 20])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_gathers_what_one_table_a_feature_would(rows, widths, numbers, n, dtype):
    embedding = Embedding(rows, widths, numbers)
    ids, values = batch(rows, numbers, n, dtype=dtype)
    out = embedding(ids, values)
    assert out.shape == (n, embedding.out_features)
    assert embedding.out_features == sum(widths) + numbers
    own = by_hand(embedding, rows, widths)
    in_order = sorted(own, key=lambda i: widths[i])  # by width, then as declared
    expected = torch.cat([*(own[i](ids[:, i]) for i in in_order), values], dim=1)
    assert torch.equal(out, expected)


@each
def test_ids_of_32_and_64_bits_give_the_same(rows, widths, numbers):
    embedding = Embedding(rows, widths, numbers)
    ids, values = batch(rows, numbers, 20)
    assert torch.equal(embedding(ids.int(), values), embedding(ids, values))


@each
def test_missing_and_unseen_start_at_zero_and_nothing_else_does(rows, widths, numbers):
    embedding = Embedding(rows, widths, numbers)
    for own in by_hand(embedding, rows, widths).values():
        assert not own.weight[[MISSING, UNSEEN]].any()
        assert (own.weight[2:] != 0).all()
    for code in (MISSING, UNSEEN):
        out = embedding(torch.full((3, len(rows)), code), torch.ones(3, numbers))
        assert not out[:, : sum(widths)].any()


def test_missing_and_unseen_learn_apart():
    embedding = Embedding([4, 4], [2, 2], 0)
    embedding(torch.tensor([[MISSING, UNSEEN]]), torch.empty(1, 0)).sum().backward()
    (table,) = embedding.tables
    assert table.grad.any(dim=1).nonzero().flatten().tolist() == [MISSING, 4 + UNSEEN]


def test_only_the_rows_of_the_batch_get_a_gradient_and_repeated_ones_add_up():
    embedding = Embedding([5, 6], [2, 3], 0)
    ids = torch.tensor([[4, 2], [4, 5], [3, 2]])
    embedding(ids, torch.empty(3, 0)).sum().backward()
    narrow, wide = embedding.tables
    assert narrow.grad.tolist() == [[0, 0], [0, 0], [0, 0], [1, 1], [2, 2]]
    assert wide.grad[:, 0].tolist() == [0, 0, 2, 0, 0, 1]


def test_scale_is_the_standard_deviation_of_the_initial_values():
    for scale in (0.01, 1.0):
        (table,) = Embedding([4000], [8], 0, scale=scale).tables
        assert table[2:].std().item() == pytest.approx(scale, rel=0.05)


@each
def test_the_state_makes_a_copy(rows, widths, numbers):
    one, other = Embedding(rows, widths, numbers), Embedding(rows, widths, numbers)
    other.load_state_dict(one.state_dict())
    inputs = batch(rows, numbers, 20)
    assert torch.equal(one(*inputs), other(*inputs))


@pytest.mark.parametrize(
    ("rows", "widths", "numbers", "message"),
    [
        ([1], [4], 0, r"rows \[1\] and widths \[4\]"),
        ([5], [0], 0, "widths >= 1"),
        ([5, 5], [4], 0, "one of each"),
        ([], [], 0, "no feature: give at least one"),
    ],
)
def test_impossible_features_are_refused(rows, widths, numbers, message):
    with pytest.raises(UserError, match=message):
        Embedding(rows, widths, numbers)
