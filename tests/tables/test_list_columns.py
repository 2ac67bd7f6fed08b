import itertools
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import UserError
from trunkline.nn.embedding import MISSING, UNSEEN
from trunkline.nn.inputs import ListFeature
from trunkline.tables import Encoder, make_feature
from trunkline.tables.columns.stable_hash import stable_hash

INTS = pl.List(pl.Int64)


def frame(**columns):
    return pl.DataFrame(columns)


def fit(kind, values, **options):
    """An encoder of one column of lists."""
    return Encoder.fit([make_feature(name="c", kind=kind, **options)], frame(c=values))


def lists(encoder, values, *, i=0):
    """The ids of each row's list."""
    found = encoder.encode(values if isinstance(values, pl.DataFrame) else frame(c=values)).lists[i]
    offsets = found.offsets.tolist()
    assert offsets[0] == 0
    assert offsets[-1] == len(found.values)
    return [found.values[start:end].tolist() for start, end in itertools.pairwise(offsets)]


def vocabulary(encoder, i=0):
    return encoder.columns[i].ids.values.to_list()


@pytest.mark.parametrize("kind", ["bag", "sequence"])
@pytest.mark.parametrize("convert", [str, int], ids=["text", "integers"])
def test_null_empty_unseen_and_repeated_elements(kind, convert):
    def rows(*values):
        return pl.Series("c", [None if v is None else [convert(x) for x in v] for v in values])

    encoder = fit(kind, rows([3, 1, 3], [2, 3, 1], None, []))
    assert vocabulary(encoder) == [convert(value) for value in (3, 1, 2)]
    assert lists(encoder, rows([1, 3, 1], None, [], [9, 2], [], None)) == [
        [3, 2, 3],
        [MISSING],
        [],
        [UNSEEN, 4],
        [],
        [MISSING],
    ]
    assert lists(encoder, rows([1])) == [[3]]
    assert lists(encoder, rows(None)) == [[MISSING]]
    assert lists(encoder, rows([])) == [[]]
    assert lists(encoder, rows([1]).head(0)) == []


@pytest.mark.parametrize("kind", ["bag", "sequence"])
def test_a_column_without_a_single_element(kind):
    encoder = fit(kind, pl.Series([[], None], dtype=pl.List(pl.String)))
    assert lists(encoder, [["a"], None, []]) == [[UNSEEN], [MISSING], []]
    assert lists(encoder, pl.Series([None, None])) == [[MISSING], [MISSING]]
    assert lists(fit(kind, pl.Series([None])), [[1]]) == [[UNSEEN]]
    assert lists(fit(kind, pl.Series([[]], dtype=pl.List(pl.Null))), [[1]]) == [[UNSEEN]]


@pytest.mark.parametrize(
    "dtype", [pl.List(pl.Int8), pl.List(pl.UInt64), pl.List(pl.String), pl.List(pl.Categorical), pl.Array(pl.Int64, 2)]
)
def test_lists_may_come_in_any_guise(dtype):
    encoder = fit("bag", [[1, 2], [1, 3]])
    rows = pl.Series([["3", "1"], None, ["1", "7"]], dtype=pl.List(pl.String)).cast(
        pl.List(dtype.inner) if isinstance(dtype, pl.Array) else dtype
    )
    assert lists(encoder, rows.cast(dtype)) == [[4, 2], [MISSING], [2, UNSEEN]]


def test_whole_64_bit_elements_survive():
    ids = [2**53, 2**53 + 1, -1, 2**63 - 1]
    encoder = Encoder.from_json(fit("bag", [ids]).to_json())
    assert len(set(lists(encoder, [ids])[0])) == len(ids)


@pytest.mark.parametrize("kind", ["bag", "sequence"])
@pytest.mark.parametrize("min_count", [1, 2, 3])
def test_min_count_counts_elements(kind, min_count):
    encoder = fit(kind, [["a", "b", "a"], ["a", "b"], ["c"]], min_count=min_count)
    assert vocabulary(encoder) == ["a", "b", "c"][: 4 - min_count]


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_a_sequence_keeps_its_last_elements_in_fit_and_encode(length):
    rows = [[5, 1, 2], [7, 2], [], None, [9, 9, 9, 8]]
    encoder = fit("sequence", rows, length=length)
    kept = [value for row in rows if row for value in row[-length:]]
    assert set(vocabulary(encoder)) == set(kept)
    assert vocabulary(encoder)[0] == max(sorted(set(kept)), key=kept.count)
    position = {value: i + 2 for i, value in enumerate(vocabulary(encoder))}
    assert lists(encoder, rows) == [
        [MISSING] if row is None else [position[value] for value in row[-length:]] for row in rows
    ]


@pytest.mark.parametrize("kind", ["bag", "sequence"])
def test_hashed_elements(kind):
    encoder = fit(kind, [["a"], None], rows=13)
    found = lists(encoder, [["a", "x", "12"], None, []])
    hashed = stable_hash(pl.Series(["a", "x", "12"]), salt="c") % np.uint64(13) + np.uint64(2)
    assert found == [hashed.tolist(), [MISSING], []]
    assert lists(encoder, [[12]]) == [[int(hashed[2])]]
    assert encoder.inputs.lists == (ListFeature(width=8, pool="mean", rows=15),)


def history(kind="categorical", **options):
    """A sequence of items held against the item of the row."""
    item = {"dim": 5} | ({"rows": 11} if kind == "hashed" else {"min_count": 2})
    return [
        make_feature(name="history", kind="sequence", target="item", pool="attention", **options),
        make_feature(name="user", kind="categorical"),
        make_feature(name="item", kind=kind, **item),
    ]


TABLE = frame(
    user=["u", "v", "w", "u"],
    item=[1, 2, 2, 3],
    history=[[3, 1], [4, 4, 5], None, []],
)


def test_a_sequence_shares_its_targets_vocabulary_fitted_on_both():
    encoder = Encoder.fit(history(), TABLE)
    assert vocabulary(encoder, 2) == [1, 2, 3, 4]  # twice each, over both columns; 5 stands once
    assert lists(encoder, TABLE) == [[4, 2], [5, 5, UNSEEN], [MISSING], []]
    assert encoder.encode(TABLE).ids[:, 1].tolist() == [2, 3, 3, 4]
    assert encoder.inputs.lists == (ListFeature(width=5, pool="attention", target=1),)
    assert encoder.inputs.rows == (5, 6)


def test_what_a_sequence_cuts_off_does_not_count_for_its_target():
    encoder = Encoder.fit(history(length=1), TABLE)
    assert vocabulary(encoder, 2) == [1, 2]  # twice each; of 3 the sequence's is cut off


def test_elements_are_compared_in_the_targets_type():
    encoder = Encoder.fit(history(), TABLE.with_columns(pl.col("item").cast(pl.String)))
    assert vocabulary(encoder, 2) == ["1", "2", "3", "4"]
    assert lists(encoder, TABLE)[0] == [4, 2]
    text = TABLE.with_columns(history=pl.Series([["3", "1"], ["x", "4", "4"], None, []]))
    assert vocabulary(Encoder.fit(history(), text), 2) == [1, 2, 3, 4]


def test_a_sequence_shares_its_targets_hash():
    encoder = Encoder.fit(history("hashed"), TABLE)
    items = encoder.encode(frame(user=["u"] * 3, item=[3, 1, 4], history=[[3, 1, 4]] * 3))
    assert items.lists[0].values.tolist() == items.ids[:, 1].tolist() * 3
    assert encoder.inputs.lists == (ListFeature(width=5, pool="attention", target=1),)
    assert encoder.inputs.rows == (5, 13)


def test_order_of_lists_is_that_of_the_features():
    features = [
        make_feature(name="b", kind="bag", dim=3, pool="sum"),
        make_feature(name="x", kind="numeric"),
        make_feature(name="a", kind="bag", rows=4),
        make_feature(name="v", kind="vector"),
        make_feature(name="u", kind="categorical"),
    ]
    table = frame(a=[[1], [2]], b=[["x"], None], u=["p", "q"], v=[[1.0, 2.0], [3.0, 5.0]], x=[1, 2])
    encoder = Encoder.fit(features, table)
    assert encoder.inputs.lists == (ListFeature(width=3, pool="sum", rows=3), ListFeature(width=8, pool="mean", rows=6))
    assert (encoder.inputs.rows, encoder.inputs.widths, encoder.inputs.numbers) == ((4,), (8,), 3)
    assert lists(encoder, table) == [[2], [MISSING]]
    assert encoder.encode(table).numbers.tolist() == [[-1, -1, -1], [1, 1, 1]]
    assert encoder.csv_types().keys() == {"x", "u"}


@settings(max_examples=40, deadline=None)
@given(
    train=st.lists(st.none() | st.lists(st.text("abc", max_size=2), max_size=5), min_size=1),
    other=st.lists(st.none() | st.lists(st.text("abcd", max_size=2), max_size=5)),
    kind=st.sampled_from([{"kind": "bag"}, {"kind": "sequence", "length": 2}, {"kind": "bag", "rows": 3}]),
)
def test_json_makes_an_equal_encoder_of_lists(train, other, kind):
    encoder = fit(**kind, values=pl.Series(train, dtype=pl.List(pl.String)))
    again = Encoder.from_json(encoder.to_json())
    assert again.columns == encoder.columns
    assert again.inputs == encoder.inputs
    rows = pl.Series(other, dtype=pl.List(pl.String))
    assert lists(again, rows) == lists(encoder, rows)
    assert json.loads(encoder.to_json()) == json.loads(again.to_json())


@pytest.mark.parametrize("kind", ["categorical", "hashed"])
def test_json_keeps_what_is_shared(kind):
    encoder = Encoder.fit(history(kind), TABLE)
    again = Encoder.from_json(encoder.to_json())
    assert again.inputs == encoder.inputs
    assert lists(again, TABLE) == lists(encoder, TABLE)


def test_json_whose_target_is_gone():
    columns = json.loads(Encoder.fit(history(), TABLE).to_json())
    with pytest.raises(UserError, match="'history': its target 'item' is no column of ids"):
        Encoder.from_json(json.dumps(columns[:2]))


FITTED = {
    "bag": ([["a", "b"]], {}),
    "sequence": ([["a", "b"]], {}),
    "vector": ([[1.0, 2.0]], {}),
}


@pytest.mark.parametrize("kind", FITTED)
def test_lists_do_not_come_as_text(kind):
    words = rf"column 'c' is String; a {kind} column holds .* lists come from Parquet, IPC or NDJSON files"
    values, options = FITTED[kind]
    with pytest.raises(UserError, match=words):
        fit(kind, ["[1, 2]"], **options)
    with pytest.raises(UserError, match=words):
        fit(kind, values, **options).encode(frame(c=["[1, 2]"]))


@pytest.mark.parametrize("kind", ["bag", "sequence"])
@pytest.mark.parametrize("values", [[[1.5]], [[[1]]], [[True]], [1]])
def test_lists_of_something_else(kind, values):
    with pytest.raises(UserError, match=rf"column 'c' is .*; a {kind} column holds lists of text or whole numbers"):
        fit(kind, values)


@pytest.mark.parametrize(
    ("kind", "rows", "row", "shown"),
    [
        ("bag", [["a"], None, [], ["b", None]], 4, r"\['b', None\]"),
        ("sequence", [[1], [None, 2], [None]], 2, r"\[None, 2\]"),
        ("vector", [[1.0, 2.0], [1.0, None]], 2, r"\[1.0, None\]"),
        ("vector", [[1.0], None, [float("nan")]], 3, r"\[nan\]"),
        ("vector", [[1.0], None, [float("inf")], [2.0]], 3, r"\[inf\]"),
        ("vector", [[1.0, 2.0], None, [3.0, 4.0], [3.0]], 4, r"\[3.0\]"),
    ],
)
def test_what_a_list_must_not_hold_names_column_and_row(kind, rows, row, shown):
    words = rf"column 'c' holds {shown} in row {row}; .*a {kind} column holds"
    with pytest.raises(UserError, match=words):
        fit(kind, rows)
    encoder = fit(kind, rows[:1])
    with pytest.raises(UserError, match=words):
        encoder.encode(frame(c=rows))
    late = frame(c=rows).with_columns(__row__=pl.Series(range(100, 100 + len(rows))))
    with pytest.raises(UserError, match=rf"in row {99 + row};"):
        encoder.encode(late)


def test_a_null_that_a_sequence_cuts_off_is_no_matter():
    assert lists(fit("sequence", [[None, 1]], length=1), [[None, None, 1]]) == [[2]]


def numbers(encoder, values):
    return encoder.encode(frame(c=values)).numbers.numpy()


@pytest.mark.parametrize(
    "dtype", [pl.List(pl.Float64), pl.List(pl.Float32), pl.Array(pl.Float32, 3), pl.List(pl.Int64)]
)
def test_each_component_of_a_vector_is_standardised(dtype):
    draw = np.random.default_rng(0)
    train, other = draw.normal(5, 3, (400, 3)).round(), draw.normal(0, 9, (50, 3)).round()
    train[:, 1] = 7
    encoder = fit("vector", pl.Series(train.tolist()).cast(pl.List(pl.Int64)).cast(dtype))
    std = train.std(axis=0)
    std[1] = 1
    found = numbers(encoder, pl.Series(other.tolist()).cast(pl.List(pl.Int64)).cast(dtype))
    np.testing.assert_allclose(found, (other - train.mean(axis=0)) / std, rtol=1e-5, atol=1e-6)
    assert Encoder.from_json(encoder.to_json()).columns == encoder.columns


def test_a_missing_vector_is_zeros_with_an_indicator_if_training_rows_had_any():
    assert numbers(fit("vector", [[1.0, 2.0], [3.0, 6.0]]), [None, [1.0, 2.0]]).tolist() == [[0, 0], [-1, -1]]
    encoder = fit("vector", [[1.0, 2.0], None, [3.0, 6.0]])
    assert numbers(encoder, [None, [1.0, 2.0]]).tolist() == [[0, 0, 1], [-1, -1, 0]]
    assert numbers(encoder, pl.Series([None])).tolist() == [[0, 0, 1]]


def test_the_length_of_a_vector_may_be_given():
    encoder = fit("vector", pl.Series([None], dtype=pl.List(pl.Float32)), length=2)
    assert numbers(encoder, [[5.0, -1.0]]).tolist() == [[5, -1, 0]]
    with pytest.raises(UserError, match=r"holds \[1.0\] in row 1; that is 1 numbers and not 2"):
        fit("vector", [[1.0]], length=2)


@pytest.mark.parametrize("values", [pl.Series([None], dtype=pl.List(pl.Float32)), pl.Series([None]), [[]]])
def test_a_vector_of_no_known_length(values):
    with pytest.raises(UserError, match="column 'c' holds no vector; give its length"):
        fit("vector", values)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ([{"kind": "hashed"}], "rows is missing"),
        ([{"kind": "hashed", "rows": 0}], "rows 0; it must be at least 1"),
        ([{"kind": "hashed", "rows": 2**31 - 2}], "rows 2147483646; it must be at most 2147483645"),
        ([{"kind": "bag", "rows": 9, "min_count": 2}], "min_count 2 with rows"),
        ([{"kind": "bag", "pool": "attention"}], "pool 'attention'; for a bag it is one of mean, sum"),
        ([{"kind": "sequence", "pool": "sum"}], "pool 'sum'; for a sequence it is one of mean, attention"),
        ([{"kind": "sequence", "pool": "attention"}], "attention needs target"),
        ([{"kind": "sequence", "length": 0}], "length 0; it must be at least 1"),
        ([{"kind": "vector", "dim": 3}], r"dim is no option of kind vector \(known: length\)"),
        ([{"kind": "boolean", "log": True}], r"log is no option of kind boolean \(known: none\)"),
        ([{"kind": "sequence", "target": "d"}, {"kind": "bag"}], "target 'd' is no categorical or hashed feature"),
        ([{"kind": "sequence", "target": "c"}], r"target 'c' is no .* \(known: none\)"),
        (
            [{"kind": "sequence", "target": "d", "dim": 4}, {"kind": "categorical"}],
            "dim 4, but it shares the table of d, whose dim is 8",
        ),
        (
            [{"kind": "sequence", "target": "d", "rows": 4}, {"kind": "categorical"}],
            "rows 4, but it shares the table of d, which has no rows",
        ),
    ],
)
def test_features_that_cannot_be(features, words):
    with pytest.raises(UserError, match=words):
        Encoder.fit([make_feature(name=name, **f) for name, f in zip("cd", features, strict=False)], frame(c=[], d=[]))


def test_a_name_stands_once():
    with pytest.raises(UserError, match="feature c: the name is used 2 times"):
        Encoder.fit([make_feature(name="c", kind="numeric"), make_feature(name="c", kind="boolean")], frame(c=[1]))


def test_a_sequence_may_repeat_what_its_target_says():
    encoder = Encoder.fit(history(dim=5, min_count=2), TABLE)
    assert encoder.columns == Encoder.fit(history(), TABLE).columns
