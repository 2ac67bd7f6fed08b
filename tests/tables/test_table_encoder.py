import itertools
import json
import mmap
import sys
import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from trunkline.errors import UserError
from trunkline.nn.embedding import MISSING, UNSEEN
from trunkline.tables import ROW, Encoder, Split, cut, make_feature, read
from trunkline.tables import encoder as encoder_module
from trunkline.tables.columns import counts, list_column, numeric, vector
from trunkline.tables.encoder import EncoderFitter

IDS = [2**24, 2**24 + 1, 2**53, 2**53 + 1, -1, 2**63 - 1]


def fit(kind, values, **options):
    """An encoder of one column."""
    return Encoder.fit([make_feature(name="c", kind=kind, **options)], pl.DataFrame({"c": values}))


def ids(encoder, values):
    return encoder.encode(pl.DataFrame({"c": values}))[0][:, 0].tolist()


def numbers(encoder, values):
    return encoder.encode(pl.DataFrame({"c": values}))[1].numpy()


def test_unseen_is_not_missing_and_only_training_rows_are_known():
    encoder = fit("categorical", ["a", "b", "a", None])
    codes = ids(encoder, ["a", "b", "only in test", None, ""])
    assert codes[2:] == [UNSEEN, MISSING, UNSEEN]
    assert len({*codes[:2], UNSEEN, MISSING}) == 4
    assert encoder.rows == [4]


def test_most_frequent_values_come_first_and_ties_by_value():
    encoder = fit("categorical", ["c", "b", "a", "b", "d"])
    assert encoder.columns[0].ids.values.to_list() == ["b", "a", "c", "d"]


@pytest.mark.parametrize("min_count", [1, 2, 3, 4])
def test_min_count(min_count):
    encoder = fit("categorical", ["a"] * 3 + ["b"] * 2 + ["c"] + [None] * 9, min_count=min_count)
    known = [value for value, count in (("a", 3), ("b", 2), ("c", 1)) if count >= min_count]
    assert encoder.columns[0].ids.values.to_list() == known
    assert [code == UNSEEN for code in ids(encoder, ["a", "b", "c"])] == [v not in known for v in "abc"]
    assert ids(encoder, [None]) == [MISSING]


def test_whole_64_bit_ids_survive_as_numbers_and_as_text():
    encoder = Encoder.from_json(fit("categorical", IDS).to_json())
    codes = ids(encoder, IDS)
    assert len({*codes, MISSING, UNSEEN}) == len(IDS) + 2
    assert ids(encoder, [str(value) for value in IDS]) == codes
    assert ids(encoder, [str(value) for value in IDS[:2]] + ["x", None]) == [*codes[:2], UNSEEN, MISSING]
    near = [value - 1 for value in IDS if value - 1 not in IDS]
    assert ids(encoder, near) == [UNSEEN] * len(near)


def test_unsigned_64_bit_ids_survive():
    values = pl.Series([2**64 - 1, 2**63, 0], dtype=pl.UInt64)
    encoder = Encoder.from_json(fit("categorical", values).to_json())
    assert len(set(ids(encoder, values)) - {MISSING, UNSEEN}) == 3


@pytest.mark.parametrize("dtype", [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt64, pl.Float32, pl.Float64])
def test_a_column_of_whole_numbers_may_come_in_another_width_or_as_float(dtype):
    encoder = fit("categorical", [3, 1, 2])
    codes = ids(encoder, [1, 2, 3])
    assert ids(encoder, pl.Series([1, 2, 3], dtype=dtype)) == codes
    assert ids(encoder, pl.Series([1, None, 9], dtype=dtype)) == [codes[0], MISSING, UNSEEN]


def test_text_for_whole_numbers_may_have_been_a_float():
    encoder = fit("categorical", [3, 2**53 + 1, 30])
    assert ids(encoder, ["3.0", "9007199254740993.00", "30"]) == ids(encoder, [3, 2**53 + 1, 30])
    assert ids(encoder, ["3.5", "x", "", ".0", None]) == [UNSEEN] * 4 + [MISSING]


def test_an_infinite_category_is_refused():
    with pytest.raises(UserError, match="column 'c' holds inf in row 2"):
        fit("categorical", [1.0, float("inf")])


def test_floats_for_whole_numbers_are_unseen_unless_whole():
    encoder = fit("categorical", [1, 2])
    assert ids(encoder, [1.5, float("nan"), 1e300, float("inf")]) == [UNSEEN, MISSING, UNSEEN, UNSEEN]


def test_numbers_for_a_column_of_text():
    encoder = fit("categorical", ["1", "2"])
    assert ids(encoder, [1, 2, 3]) == [*ids(encoder, ["1", "2"]), UNSEEN]


def test_a_vocabulary_of_floats_knows_nan_as_missing():
    encoder = fit("categorical", [0.5, float("nan"), 2.0])
    assert encoder.columns[0].ids.values.to_list() == [0.5, 2.0]
    assert ids(encoder, [float("nan"), None, 0.5, 7.0]) == [MISSING, MISSING, ids(encoder, [0.5])[0], UNSEEN]


def test_a_column_without_any_value_is_all_missing_or_unseen():
    encoder = fit("categorical", [None, None])
    assert ids(encoder, ["a", None]) == [UNSEEN, MISSING]


VALUES = {
    "categorical": st.one_of(
        st.lists(st.none() | st.text(st.characters(codec="utf-8")), min_size=1).map(
            lambda values: pl.Series("c", values, dtype=pl.String)
        ),
        st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1).map(
            lambda values: pl.Series("c", values, dtype=pl.Int64)
        ),
        st.lists(st.none() | st.floats(allow_infinity=False), min_size=1).map(
            lambda values: pl.Series("c", values, dtype=pl.Float64)
        ),
        st.lists(st.none() | st.booleans(), min_size=1).map(lambda values: pl.Series("c", values, dtype=pl.Boolean)),
    ),
    "numeric": st.lists(st.none() | st.floats(-1e30, 1e30), min_size=1).map(
        lambda values: pl.Series("c", values, dtype=pl.Float64)
    ),
    "boolean": st.lists(st.none() | st.booleans(), min_size=1).map(
        lambda values: pl.Series("c", values, dtype=pl.Boolean)
    ),
    "datetime": st.lists(st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), min_size=1).map(
        lambda values: pl.Series("c", values, dtype=pl.Datetime("us"))
    ),
}


@pytest.mark.parametrize("kind", VALUES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_json_makes_an_equal_encoder_that_encodes_alike(kind, data):
    series = data.draw(VALUES[kind])
    encoder = fit(kind, series)
    again = Encoder.from_json(encoder.to_json())
    assert again.columns == encoder.columns
    json.loads(encoder.to_json(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    frame = pl.DataFrame({"c": series})
    for ours, theirs in zip(encoder.encode(frame)[:2], again.encode(frame)[:2], strict=True):
        assert ours.equal(theirs)
        assert ours.isfinite().all()


@settings(max_examples=60, deadline=None)
@given(series=VALUES["categorical"])
def test_codes_tell_exactly_the_distinct_values_apart(series):
    codes = ids(fit("categorical", series), series)
    values = [None if isinstance(v, float) and np.isnan(v) else v for v in series.to_list()]
    assert [code == MISSING for code in codes] == [value is None for value in values]
    assert UNSEEN not in codes
    assert len(set(codes)) == len(set(values))


@pytest.mark.parametrize(
    "text", ["", "[1]", '[{"kind": "picture"}]', '[{"kind": "vector"}]', '[{"kind": "numeric", "nam": "c"}]', "null"]
)
def test_json_that_is_no_encoder(text):
    with pytest.raises(UserError, match="cannot be read"):
        Encoder.from_json(text)


def test_numeric_is_standardised_as_scikit_learn_does():
    draw = np.random.default_rng(0)
    train, other = draw.normal(5, 3, 400), draw.normal(0, 9, 50)
    scaler = StandardScaler().fit(train[:, None])
    np.testing.assert_allclose(numbers(fit("numeric", train), other), scaler.transform(other[:, None]), rtol=1e-5)


def test_numeric_statistics_leave_missing_rows_out():
    values = [1.0, 2.0, None, 6.0, float("nan")]
    encoder = fit("numeric", values)
    scaler = StandardScaler().fit(np.array([[1.0], [2.0], [6.0]]))
    found = numbers(encoder, values)
    np.testing.assert_allclose(found[[0, 1, 3], 0], scaler.transform([[1.0], [2.0], [6.0]])[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(found[[2, 4]], [[0, 1], [0, 1]])
    np.testing.assert_array_equal(found[[0, 1, 3], 1], 0)


def test_log_compresses_both_signs():
    values = np.array([-100.0, -1.0, 0.0, 3.0, 1e6])
    logs = np.sign(values) * np.log1p(np.abs(values))
    expected = StandardScaler().fit_transform(logs[:, None])
    np.testing.assert_allclose(numbers(fit("numeric", values, log=True), values), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "whole", "missing"),
    [
        ("numeric", [1.0, 2.0], [None, 2.0]),
        ("boolean", [True, False], [None, True]),
        ("datetime", [datetime(2024, 1, 1, 3), datetime(2024, 1, 2)], [None, datetime(2024, 1, 2)]),
    ],
)
def test_the_missing_indicator_stands_only_if_training_rows_had_any(kind, whole, missing):
    without = fit(kind, whole)
    with_one = fit(kind, [*whole, None])
    assert with_one.numbers == without.numbers + 1
    assert (numbers(without, missing)[0] == 0).all()
    assert numbers(with_one, missing)[:, -1].tolist() == [1, 0]
    assert (numbers(with_one, missing)[0, :-1] == 0).all()


def test_a_constant_and_an_absent_numeric_stay_finite():
    assert numbers(fit("numeric", [7, 7]), [7, 8]).tolist() == [[0], [1]]
    assert numbers(fit("numeric", pl.Series([None, None], dtype=pl.Float64)), [None, 2.0]).tolist() == [[0, 1], [2, 0]]


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1, 2, 3], dtype=pl.Int8),
        pl.Series(["1", " 2", "3.0 "]),
        pl.Series(["1", "2", "3"]).cast(pl.Decimal(9, 3)),
        pl.Series([1, 2, 3], dtype=pl.Float32),
    ],
)
def test_numbers_may_come_in_any_guise(values):
    encoder = fit("numeric", [1.0, 2.0, 3.0])
    np.testing.assert_allclose(numbers(encoder, values), numbers(encoder, [1.0, 2.0, 3.0]))


@pytest.mark.parametrize("bad", [float("inf"), float("-inf")])
def test_infinity_is_refused_with_column_and_row(bad):
    with pytest.raises(UserError, match=r"column 'c' holds -?inf in row 3; .*finite"):
        fit("numeric", [1.0, None, bad])
    with pytest.raises(UserError, match=r"column 'c' holds -?inf in row 2"):
        numbers(fit("numeric", [1.0, 2.0]), [1.0, bad])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False, None], [1, -1, 0]),
        ([1, 0, None], [1, -1, 0]),
        ([1.0, 0.0, float("nan")], [1, -1, 0]),
        (["true", "FALSE", None], [1, -1, 0]),
        ([" Yes", "no ", "True", "False"], [1, -1, 1, -1]),
        (["1", "0", None], [1, -1, 0]),
        (["1.0", "0.0", None], [1, -1, 0]),
        (pl.Series([1, 0], dtype=pl.UInt8), [1, -1]),
    ],
)
def test_boolean_in_its_spellings(values, expected):
    assert numbers(fit("boolean", [True, False]), values)[:, 0].tolist() == expected
    assert numbers(fit("boolean", values), values)[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("kind", "bad"), [("boolean", "maybe"), ("boolean", 2), ("datetime", "soon"), ("numeric", "x")]
)
def test_a_value_of_another_kind_names_the_row(kind, bad):
    good = {"boolean": "true" if isinstance(bad, str) else 1, "datetime": "2024-01-05 10:00:00", "numeric": "1.5"}[kind]
    with pytest.raises(UserError, match=rf"column 'c' holds '?{bad}'? in row 4"):
        fit(kind, [good, None, good, bad, good])


def test_text_in_which_nothing_is_a_date():
    with pytest.raises(UserError, match="column 'c' holds 'soon' in row 2; a time is a date, or written as one"):
        fit("datetime", [None, "soon", "later"])
    with pytest.raises(UserError, match="column 'c' holds 'x' in row 1"):
        numbers(fit("datetime", [date(2024, 1, 1), date(2024, 1, 9)]), ["x"])


@pytest.mark.parametrize(("kind", "values"), [("numeric", [[1.0]]), ("boolean", [[True]]), ("datetime", [1.5])])
def test_a_column_of_another_type_is_refused(kind, values):
    with pytest.raises(UserError, match="column 'c' is"):
        fit(kind, values)


def test_datetime_goes_through_day_and_week():
    start = datetime(2024, 3, 4)  # a Monday
    hours = [start + timedelta(hours=h) for h in range(24 * 10)]
    encoder = fit("datetime", hours)
    found = numbers(encoder, hours)
    assert found.shape == (240, 4)
    np.testing.assert_allclose(found[:, :2] ** 2 + found[:, 2:] ** 2, 1, atol=1e-5)
    np.testing.assert_allclose(found[:24, 0], np.sin(2 * np.pi * np.arange(24) / 24), atol=1e-4)
    np.testing.assert_allclose(found[24:, 0], found[:-24, 0], atol=1e-4)
    np.testing.assert_allclose(found[168:, 1], found[:-168, 1], atol=1e-4)
    assert np.abs(found[72, 1] - found[0, 1]) > 0.1


@pytest.mark.parametrize(
    ("days", "periods"), [(3, ()), (7, (7.0,)), (300, (7.0,)), (370, (7.0, 365.2425))], ids=["3", "7", "300", "370"]
)
def test_datetime_has_only_the_cycles_that_training_went_through(days, periods):
    dates = [date(2023, 1, 1) + timedelta(days=d) for d in range(days)]
    encoder = fit("datetime", dates)
    assert encoder.columns[0].periods == periods
    assert numbers(encoder, dates).shape == (days, 2 * len(periods))
    noon = [datetime(d.year, d.month, d.day, 12) for d in dates]
    assert fit("datetime", noon).columns[0].periods == (1.0, *periods)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_datetime_reads_text_and_every_unit_alike(unit):
    moments = [datetime(2024, 3, 1) + timedelta(hours=7 * i) for i in range(40)]
    encoder = fit("datetime", moments)
    expected = numbers(encoder, moments)
    np.testing.assert_array_equal(numbers(encoder, pl.Series(moments).cast(pl.Datetime(unit))), expected)
    np.testing.assert_array_equal(numbers(encoder, [str(moment) for moment in moments]), expected)
    np.testing.assert_array_equal(numbers(encoder, [moment.isoformat() for moment in moments]), expected)


FEATURES = [
    make_feature(name="price", kind="numeric"),
    make_feature(name="user", kind="categorical", dim=3),
    make_feature(name="flag", kind="boolean"),
    make_feature(name="shop", kind="categorical", dim=5),
]
TABLE = pl.DataFrame(
    {"shop": [1, 2, 1], "flag": [True, False, True], "price": [1.0, 2.0, 4.0], "user": ["a", "b", "b"]}
)


def test_order_of_columns_and_further_ones_do_not_matter():
    encoder = Encoder.fit(FEATURES, TABLE)
    expected = encoder.encode(TABLE)
    other = TABLE.select("user", "flag", pl.lit("x").alias("extra"), "price", "shop")
    for ours, theirs in zip(expected[:2], encoder.encode(other)[:2], strict=True):
        assert ours.equal(theirs)
    assert (encoder.names, encoder.widths, encoder.rows) == (["price", "user", "flag", "shop"], [3, 5], [4, 4])
    assert expected[0].shape == (3, 2)
    assert expected[1].shape == (3, encoder.numbers)


def test_missing_columns_are_all_named_with_a_guess():
    encoder = Encoder.fit(FEATURES, TABLE)
    with pytest.raises(UserError) as found:
        encoder.encode(TABLE.rename({"price": "prices", "shop": "unlike"}))
    assert found.value.problems == [
        "feature column 'price' is not in the table; did you mean 'prices'?",
        "feature column 'shop' is not in the table",
    ]
    with pytest.raises(UserError, match="did you mean 'prices'"):
        Encoder.fit(FEATURES, TABLE.rename({"price": "prices"}))


def test_problems_of_several_columns_come_at_once():
    bad = TABLE.with_columns(price=pl.Series([1.0, float("inf"), 2.0]), flag=pl.Series(["yes", "no", "perhaps"]))
    for action in (lambda: Encoder.fit(FEATURES, bad), lambda: Encoder.fit(FEATURES, TABLE).encode(bad)):
        with pytest.raises(UserError) as found:
            action()
        assert len(found.value.problems) == 2
        assert "'price' holds inf in row 2" in str(found.value)
        assert "'flag' holds 'perhaps' in row 3" in str(found.value)


def test_no_rows_and_one_row_encode():
    encoder = Encoder.fit(FEATURES, TABLE)
    assert [len(tensor) for tensor in encoder.encode(TABLE.head(0))[:2]] == [0, 0]
    assert [len(tensor) for tensor in encoder.encode(TABLE.head(1))[:2]] == [1, 1]


def test_a_bad_row_keeps_its_number_in_the_source_file_after_a_split(tmp_path):
    path = tmp_path / "rows.csv"
    lines = [f"{100 - i},{'oops' if i == 83 else i}" for i in range(100)]
    path.write_text("t,x\n" + "\n".join(lines) + "\n")
    parts, _ = cut(read(path), Split(by="time", column="t", valid=0.3, test=0.3))
    with pytest.raises(UserError, match="'oops' in row 84"):
        Encoder.fit([make_feature(name="x", kind="numeric")], parts["train"])


@pytest.mark.parametrize(
    "options", [{"kind": "picture"}, {"kind": "categorical", "dim": 0}, {"kind": "numeric", "min_count": 0}]
)
def test_a_feature_that_cannot_be(options):
    with pytest.raises(UserError, match=r"feature c|kind 'picture' is unknown"):
        make_feature(name="c", **options)


def chunks(draw, table):
    """The table in chunks of any size, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(table)), max_size=6)))
    return [table[start:end] for start, end in itertools.pairwise([0, *cuts, len(table)])]


MIXED = [
    make_feature(name="tags", kind="bag", min_count=2),
    make_feature(name="price", kind="numeric", log=True),
    make_feature(name="history", kind="sequence", length=2, target="item"),
    make_feature(name="amount", kind="numeric"),
    make_feature(name="word", kind="categorical", min_count=2),
    make_feature(name="item", kind="categorical"),
    make_feature(name="half", kind="categorical"),
    make_feature(name="host", kind="hashed", rows=9),
    make_feature(name="flag", kind="boolean"),
    make_feature(name="when", kind="datetime"),
    make_feature(name="picture", kind="vector"),
]


def mixed(n, seed):
    draw = np.random.default_rng(seed)
    columns = {
        "tags": [[f"t{tag}" for tag in draw.integers(0, 9, draw.integers(0, 4))] for _ in range(n)],
        "price": draw.lognormal(3, 2, n).tolist(),
        "history": [draw.integers(0, 30, draw.integers(0, 5)).tolist() for _ in range(n)],
        "amount": (draw.normal(size=n) + 1e4).tolist(),
        "word": [f"w{int(word)}" for word in draw.geometric(0.2, n)],
        "item": draw.integers(0, 25, n).tolist(),
        "half": (draw.integers(0, 5, n) / 2).tolist(),
        "host": [f"h{host}" for host in draw.integers(0, 99, n)],
        "flag": (draw.random(n) < 0.5).tolist(),
        "when": [datetime(2024, 1, 1) + timedelta(hours=int(hour)) for hour in draw.integers(0, 24 * 400, n)],
        "picture": draw.normal(size=(n, 2)).tolist(),
    }
    holes = draw.random(len(columns)) < 0.6
    for values, has_holes in zip(columns.values(), holes, strict=True):
        for i in np.flatnonzero(draw.random(n) < 0.2 * has_holes):
            values[i] = None
    types = {"tags": pl.List(pl.String), "history": pl.List(pl.Int64), "picture": pl.List(pl.Float64)}
    return pl.DataFrame(columns, schema_overrides=types)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 99), n=st.sampled_from([2, 17, 150]))
def test_training_rows_may_come_in_chunks(data, seed, n):
    table = mixed(n, seed)
    features = [f for f in MIXED if f.kind != "vector" or table[f.name].null_count() < n]
    whole, fitter = Encoder.fit(features, table), EncoderFitter(features)
    for chunk in chunks(data.draw, table):
        fitter.see(chunk)
    streamed = fitter.done()
    apart = [replace(encoder.inputs, quantiles=()) for encoder in (streamed, whole)]
    assert apart[0] == apart[1]
    for ours, theirs in zip(streamed.columns, whole.columns, strict=True):
        if ours.kind in ("numeric", "vector"):
            assert ours.indicator == theirs.indicator
            np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-12)
            np.testing.assert_allclose(ours.std, theirs.std, rtol=1e-9)
            assert ours.kind == "vector" or ours.quantiles == theirs.quantiles
        else:
            assert ours == theirs


@settings(max_examples=20, deadline=None)
@given(data=st.data(), seed=st.integers(0, 99))
def test_rows_encode_alike_however_they_are_cut(data, seed):
    table = mixed(60, seed)
    encoder = Encoder.fit(MIXED, table)
    whole, parts = encoder.encode(table), [encoder.encode(chunk) for chunk in chunks(data.draw, table)]
    assert torch.cat([part.ids for part in parts]).equal(whole.ids)
    assert torch.cat([part.numbers for part in parts]).equal(whole.numbers)
    for i, ragged in enumerate(whole.lists):
        assert torch.cat([part.lists[i].values for part in parts]).equal(ragged.values)
        assert torch.cat([part.lists[i].offsets.diff() for part in parts]).equal(ragged.offsets.diff())


def test_many_rows_are_as_few_rows(monkeypatch):
    table = mixed(500, 3)
    few, encoded = Encoder.fit(MIXED, table), Encoder.fit(MIXED, table).encode(table)
    for place, name in ((encoder_module, "BLOCK"), (numeric, "BLOCK"), (vector, "BLOCK"), (list_column, "BLOCK")):
        monkeypatch.setattr(place, name, 64)
    monkeypatch.setattr(counts, "CHUNK", 16)
    many = Encoder.fit(MIXED, table)
    for ours, theirs in zip(many.columns, few.columns, strict=True):
        assert ours.kind in ("numeric", "vector") or ours == theirs
    again = few.encode(table)
    assert again.ids.equal(encoded.ids)
    assert again.numbers.equal(encoded.numbers)
    for ours, theirs in zip(again.lists, encoded.lists, strict=True):
        assert ours.values.equal(theirs.values)
        assert ours.offsets.equal(theirs.offsets)
    bad = table.with_columns(amount=pl.when(pl.int_range(pl.len()) >= 300).then(np.inf).otherwise(pl.col("amount")))
    for action in (lambda: few.encode(bad), lambda: Encoder.fit(MIXED, bad)):
        with pytest.raises(UserError, match="'amount' holds inf in row 301;"):
            action()


def test_problems_of_all_chunks_come_at_once_with_the_tables_rows():
    fitter = EncoderFitter([make_feature(name=name, kind="numeric") for name in ("a", "b", "c", "d")])
    fitter.see(pl.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 2.0]}))
    fitter.see(pl.DataFrame({"a": [1.0, np.inf], "b": [1.0, 2.0], "c": ["x", "y"], "d": [1, 2]}))
    fitter.see(pl.DataFrame({"a": [np.inf], "b": [-np.inf], "c": [1], ROW: [77]}))
    expected = [
        "column 'a' holds inf in row 4",
        "column 'b' holds -inf in row 77",
        "column 'c' holds 'x' in row 3",
        "feature column 'd' is not in the table",
    ]
    assert [problem.split(";")[0] for problem in fitter.problems] == expected
    with pytest.raises(UserError) as found:
        fitter.done()
    assert found.value.problems == fitter.problems


def test_a_column_keeps_its_type_from_chunk_to_chunk():
    fitter = EncoderFitter([make_feature(name="c", kind="categorical")])
    for values in ([None], [1], pl.Series([2], dtype=pl.Int8), [None]):
        fitter.see(pl.DataFrame({"c": values}))
    assert fitter.done().columns[0].ids.values.to_list() == [1, 2]
    fitter.see(pl.DataFrame({"c": ["x"]}))
    with pytest.raises(UserError, match="column 'c' is Int64 in some rows and String in later ones"):
        fitter.done()


def test_a_column_may_be_called_as_the_counting_does():
    for name in ("count", "value", "len", "literal"):
        encoder = Encoder.fit([make_feature(name=name, kind="categorical")], pl.DataFrame({name: ["b", "a", "b"]}))
        assert encoder.encode(pl.DataFrame({name: ["a", "b"]})).ids[:, 0].tolist() == [3, 2]


def test_numbers_too_large_to_average():
    with pytest.raises(UserError, match="column 'c' holds numbers too large to average"):
        fit("numeric", [1.7e308, 1.7e308, -1.7e308])
    assert np.isfinite(numbers(fit("numeric", [1e200, -1e200, 5.0]), [1e200, -1e308])).all()


def test_one_row_encodes_in_an_instant():
    table = pl.DataFrame({f"c{i}": [f"v{i}", "w"] if i % 2 else [1.5, 2] for i in range(40)})
    kinds = {True: "categorical", False: "numeric"}
    encoder = Encoder.fit([make_feature(name=f"c{i}", kind=kinds[bool(i % 2)]) for i in range(40)], table)
    row, best = table.head(1), 1.0
    for _ in range(30):
        start = time.perf_counter()
        encoder.encode(row)
        best = min(best, time.perf_counter() - start)
    assert best < 0.02  # about 1 ms where nothing else runs


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory from /proc")
def test_a_fitter_keeps_the_vocabulary_and_not_the_chunks():
    def memory():
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE / 2**20

    fitter, before = EncoderFitter([make_feature(name="c", kind="categorical")]), 0.0
    for i in range(60):
        # a thousand values that were there before, and one new one, in 2 MB of text
        fitter.see(pl.DataFrame({"c": [f"{j % 1000}" + "x" * 100 for j in range(20_000)] + [f"{i}" + "y" * 100]}))
        before = before or memory()
    assert memory() - before < 60  # it would be 120 MB
    assert fitter.done().rows == [1062]
