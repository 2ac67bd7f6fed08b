from functools import partial

import pytest
import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.embedding import MISSING, UNSEEN, Embedding
from trunkline.nn.inputs import FeatureSlice, Inputs, ListFeature, Ragged
from trunkline.nn.interaction import CrossLayers, NoInteraction, Pairwise
from trunkline.nn.numeric_embedding import PeriodicNumbers, PiecewiseNumbers, PlainNumbers

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


GRID = tuple(i / 32 - 2 for i in range(129))
LISTS = [
    ListFeature(rows=20, width=4, pool="mean"),
    ListFeature(width=3, pool="attention", target=1),
    ListFeature(rows=8, width=2, pool="sum"),
]
NUMERIC = {
    "plain": PlainNumbers,
    "piecewise": partial(PiecewiseNumbers, bins=5, dim=4),
    "periodic": partial(PeriodicNumbers, frequencies=3, dim=5),
}
INTERACTION = {
    "none": NoInteraction,
    "crossed": CrossLayers,
    "low rank": partial(CrossLayers, rank=3, layers=1),
    "pairwise": Pairwise,
}
each_numeric = pytest.mark.parametrize("numeric", NUMERIC.values(), ids=NUMERIC.keys())
each_interaction = pytest.mark.parametrize("interaction", INTERACTION.values(), ids=INTERACTION.keys())


def whole(numeric=PlainNumbers, interaction=NoInteraction, above=None) -> Embedding:
    """Two widths that lie in two tables each where long ones are apart, lists of all sorts, three numbers."""
    torch.manual_seed(0)
    made = Embedding(
        [9, 30, 5, 31],
        [4, 3, 4, 4],
        3,
        lists=LISTS,
        quantiles=[GRID, None, GRID[64:]],
        numeric=numeric,
        interaction=interaction,
        scale=1.0,
        sparse_above=above,
    ).double()
    with torch.no_grad():
        for parameter in made.dense():
            parameter.normal_()
    return made


def rows_of_all(n: int = 6, *, seed: int = 1) -> tuple[Tensor, Tensor, list[Ragged]]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(0, rows, (n,), generator=generator) for rows in (9, 30, 5, 31)], 1)
    lists = []
    for rows in (20, 30, 8):
        lengths = torch.randint(0, 4, (n,), generator=generator)
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        lists.append(Ragged(torch.randint(0, rows, (int(offsets[-1]),), generator=generator), offsets))
    return ids, torch.randn(n, 3, generator=generator, dtype=torch.float64), lists


@each_numeric
@each_interaction
@pytest.mark.parametrize("above", [None, 8, 30], ids=["dense", "mixed", "one sparse"])
@pytest.mark.parametrize("n", [1, 6])
def test_what_is_gathered_and_placed_is_what_forward_gives_gradients_included(numeric, interaction, above, n):
    embedding, (ids, numbers, lists) = whole(numeric, interaction, above), rows_of_all(n)
    leaves, found = embedding.gather(ids, lists)
    placed, out = embedding.place(leaves, found, numbers, lists), embedding(ids, numbers, lists)
    assert out.shape == (n, embedding.out_features)
    assert torch.allclose(placed, out, rtol=1e-12, atol=1e-12)
    weights = torch.randn(out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    grads = []
    for x in (placed, out):
        embedding.zero_grad()
        (x * weights).sum().backward()
        given = [p.grad if p.grad is not None else torch.zeros_like(p) for p in embedding.parameters()]
        grads.append([g.to_dense() if g.is_sparse else g for g in given])
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


@each_numeric
@each_interaction
@pytest.mark.parametrize("above", [None, 8, 30], ids=["dense", "mixed", "one sparse"])
def test_it_is_lookups_then_numbers_then_the_interaction(numeric, interaction, above):
    embedding, (ids, numbers, lists) = whole(numeric, interaction, above), rows_of_all()
    plain = whole(above=above)
    plain.load_state_dict({name: value for name, value in embedding.state_dict().items() if name in plain.state_dict()})
    looked_up = plain(ids, numbers, lists)[:, :-3]
    x = torch.cat([looked_up, embedding.numeric(numbers)], dim=1)
    assert torch.allclose(embedding(ids, numbers, lists), embedding.interaction(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("above", [None, 8, 30], ids=["dense", "mixed", "one sparse"])
@each_numeric
@pytest.mark.parametrize("interaction", [NoInteraction, Pairwise])
def test_places_are_where_the_vectors_lie(above, numeric, interaction):
    embedding, (ids, numbers, lists) = whole(numeric, interaction, above), rows_of_all()
    places = embedding.feature_slices()
    assert [(place.column, place.rows, place.width) for place in places] == [
        (0, 9, 4),
        (1, 30, 3),
        (2, 5, 4),
        (3, 31, 4),
    ]
    out = embedding(ids, numbers, lists)
    for layout, table in zip(embedding.layout, embedding.in_order(), strict=True):
        for column, start in zip(layout.columns, layout.starts, strict=True):
            place = places[column]
            assert torch.equal(out[:, place.start : place.start + place.width], table[start + ids[:, column]])


def test_places_of_no_categorical_feature():
    assert Embedding([], [], 2).feature_slices() == ()
    lists = [ListFeature(rows=5, width=2, pool="sum")]
    assert Embedding([7], [2], 1, lists=lists).feature_slices() == (FeatureSlice(column=0, rows=7, start=0, width=2),)


def test_pairwise_takes_ids_lists_and_numbers_of_one_width_together():
    embedding, (ids, numbers, lists) = whole(NUMERIC["piecewise"], Pairwise, above=8), rows_of_all()
    x = embedding(ids, numbers, lists)
    # 2: one list; 3: an id and a list; 4: three ids and a list in two tables, then two numbers
    starts = {3: [2, 5], 4: [8, 12, 16, 20, 24, 28]}
    assert embedding.out_features == 2 + 2 * 3 + 6 * 4 + 1 + 3 + 4
    expected = []
    for width, places in starts.items():
        vectors = [x[:, start : start + width] for start in places]
        expected.append((sum(vectors).square() - sum(v.square() for v in vectors)) / 2)
    assert torch.allclose(x[:, 33:], torch.cat(expected, 1), rtol=1e-12, atol=1e-12)


@each_numeric
@each_interaction
@pytest.mark.parametrize("above", [None, 8])
def test_every_parameter_has_one_owner(numeric, interaction, above):
    embedding = whole(numeric, interaction, above)
    owners = embedding.parameters_by_subnet()
    every = [id(p) for parameters in owners.values() for p in parameters]
    assert sorted(every) == sorted(map(id, embedding.parameters()))
    assert all(owners.values())
    assert ("numbers" in owners) == (numeric is not PlainNumbers)
    assert ("interaction" in owners) == (interaction not in (NoInteraction, Pairwise))
    tables = {id(table) for table in embedding.in_order()}
    assert {id(p) for p in embedding.dense()} == set(every) - tables


def test_nothing_to_learn_has_no_owner():
    assert Embedding([], [], 3).parameters_by_subnet() == {}
    assert Embedding([], [], 3).dense() == []


@each_numeric
@each_interaction
def test_the_state_makes_a_copy_with_numbers_and_interaction(numeric, interaction):
    one, other = whole(numeric, interaction, 8), whole(numeric, interaction, 8)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1.0)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(*rows_of_all()), other(*rows_of_all()))


@each_numeric
@pytest.mark.parametrize("interaction", [NoInteraction, CrossLayers])
def test_numbers_alone_and_no_numbers(numeric, interaction):
    alone = Embedding([], [], 2, quantiles=[GRID, None], numeric=numeric, interaction=interaction)
    out = alone(torch.empty(3, 0, dtype=torch.int64), torch.randn(3, 2))
    assert out.shape == (3, alone.out_features)
    without = Embedding([5], [3], 0, numeric=numeric, interaction=interaction)
    assert without(torch.tensor([[2]]), torch.empty(1, 0)).shape == (1, 3)
    assert "numbers" not in without.parameters_by_subnet()


@each_numeric
@each_interaction
def test_export_with_any_number_of_rows(numeric, interaction):
    torch.manual_seed(0)
    embedding = Embedding(
        [9, 30, 5], [4, 3, 4], 3, quantiles=[GRID, None, GRID], numeric=numeric, interaction=interaction, sparse_above=8
    ).eval()
    rows = torch.export.Dim("rows", min=1, max=4096)
    with torch.no_grad():
        example = (torch.tensor([[2, 3, 4]] * 3, dtype=torch.int32), torch.randn(3, 3))
        exported = torch.export.export(embedding, example, dynamic_shapes=({0: rows}, {0: rows})).module()
        for n in (1, 2, 70):
            ids, numbers = torch.randint(0, 5, (n, 3), dtype=torch.int32), torch.randn(n, 3)
            assert torch.allclose(exported(ids, numbers), embedding(ids, numbers), rtol=1e-5, atol=1e-6)


def test_numbers_that_need_quantiles_are_not_left_plain_in_silence():
    for numeric in (PiecewiseNumbers, PeriodicNumbers):
        with pytest.raises(UserError, match=r"Numbers makes vectors of numbers whose quantiles it knows: give"):
            Embedding([5], [3], 2, numeric=numeric)
        Embedding([5], [3], 2, numeric=numeric, quantiles=[None, None])
        Embedding([5], [3], 0, numeric=numeric)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantiles": (GRID,)}, "quantiles of 1 numbers were given; there are 2 numbers"),
        ({"quantiles": (None, (1.0, 0.0))}, "quantiles of number 1: finite values that do not fall"),
        ({"quantiles": (None, (0.0, float("nan")))}, "quantiles of number 1"),
        ({"quantiles": ((), None)}, "quantiles of number 0: .* at least one"),
        ({"names": ("a",)}, r"names \['a'\]: one for each of 2 categorical features"),
        ({"names": ("a", "a")}, "each once"),
    ],
)
def test_impossible_quantiles_and_names_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        Inputs(rows=(5, 4), widths=(2, 2), numbers=2, **changes)
