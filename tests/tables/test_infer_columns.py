import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline import UserError, fit
from trunkline.tables import ROW, Encoder, infer, make_feature
from trunkline.tables.doctor import examine
from trunkline.tables.schema import Inferrer

COLUMNS = {
    "word": ["a", "b", None],
    "constant": [3, 3, 3],
    "absent": pl.Series([None, None, None]),
    "user_id": [1, 2, 2],
    "large": [1, 2**24 + 1, 0],
    "small": [1, -(2**24), 0],
    "below": [0, 1, -(2**24) - 1],
    "share": [0.5, None, 0.25],
    "nothing": [float("nan"), None, 0.25],
    "seen": [True, False, None],
    "tags": [["a"], [], None],
    "items": [[1], [1, 2], [1]],
    "same": [["a"], ["a"], None],
    "picture": [[1.0], [2.0], [3.0]],
    "pair": pl.Series([[1, 2], [3, 4], [1, 2]], dtype=pl.Array(pl.Int64, 2)),
    "record": [{"x": 1}, {"x": 2}, None],
    "day": pl.Series(["2024-01-01", None, "2024-01-02"]).str.to_date(),
    "last": pl.Series(["x", "y", "x"]).cast(pl.Categorical),
}
EXPECTED = {
    "word": "categorical",
    "user_id": "categorical",
    "large": "categorical",
    "small": "numeric",
    "below": "categorical",
    "share": "numeric",
    "seen": "boolean",
    "tags": "bag",
    "items": "bag",
    "pair": "bag",
    "day": "datetime",
    "last": "categorical",
}
TABLE = pl.DataFrame(COLUMNS).with_row_index(ROW, offset=1)


def kinds(features):
    return {feature.name: feature.kind for feature in features}


def test_every_usable_column_gets_a_kind():
    found = infer(TABLE)
    assert kinds(found) == EXPECTED
    assert [feature.name for feature in found] == [name for name in COLUMNS if name in EXPECTED]
    assert kinds(infer(TABLE, leave_out=["word", "tags"])) == {
        name: kind for name, kind in EXPECTED.items() if name not in ("word", "tags")
    }


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 3), max_size=5))
def test_rows_may_come_in_chunks(cuts):
    inferrer = Inferrer()
    for start, end in itertools.pairwise([0, *sorted(cuts), 3]):
        inferrer.see(TABLE[start:end])
    assert kinds(inferrer.done()) == EXPECTED


@pytest.mark.parametrize("chunks", [[[None], [1], [2]], [[1], [], [2]], [[1], [None], [1, 2]]])
def test_values_may_differ_only_from_chunk_to_chunk(chunks):
    inferrer = Inferrer()
    for values in chunks:
        inferrer.see(pl.DataFrame({"c": values}))
    assert kinds(inferrer.done()) == {"c": "numeric"}


def test_auto_tells_what_it_leaves_out_and_why(caplog):
    n = 200
    frame = pl.DataFrame(
        {
            "x": [((7 * i) % 31) / 31 for i in range(n)],
            "row": list(range(n)),
            "took": pl.Series([i % 5 for i in range(n)]).cast(pl.Duration("ms")),
            "same": [1] * n,
            "y": [i % 2 for i in range(n)],
        }
    )
    config = {"tasks": {"y": "binary"}, "training": {"epochs": 1, "batch_size": 50, "device": "cpu"}}
    model = fit(config, train=frame, overrides={"network.sharing.hidden": [4]})
    assert list(model.config.features) == ["x"]
    (told,) = [text for record in caplog.records if "leaves out" in (text := record.getMessage())]
    assert told.startswith(
        "features: auto leaves out row (row numbers); took (Duration is no feature; write its length"
    )
    with pytest.raises(
        UserError, match=r"no usable column beside the labels \(row: row numbers\); name those that are"
    ):
        fit(config, train=frame.select("row", "y"))


@pytest.mark.parametrize("seed", range(5))
def test_codes_that_happen_to_be_numbers_are_told_from_quantities(seed):
    draw, n = np.random.default_rng(seed), 20_000
    shops = draw.permutation(900)[:300]
    codes = shops[np.minimum(draw.geometric(0.01, n), 300) - 1]
    quantities = {
        "age": np.clip(draw.normal(40, 14, n), 0, 99).astype(int),
        "day": draw.integers(1, 32, n),
        "lead": draw.exponential(80, n).astype(int),
        "price": 5 * draw.integers(2, 200, n),
        "visits": draw.poisson(30, n),
    }
    columns = {"agent": codes, **quantities}
    holes = draw.random(n) < 0.1
    text = {name: np.where(holes, "NULL", values.astype(str)).tolist() for name, values in columns.items()}
    found = kinds(infer(pl.DataFrame(text)))
    assert found == {"agent": "categorical", **dict.fromkeys(quantities, "numeric")}


def test_ids_of_a_sorted_table_repeat_though_every_kth_row_does_not_show_it():
    n = 250_000
    frame = pl.DataFrame({"user_id": np.arange(n) // 2, "row_id": np.arange(n)[::-1] * 3, "x": np.arange(n) % 97})
    assert kinds(infer(frame)) == {"user_id": "categorical", "x": "numeric"}


@pytest.mark.parametrize("seed", range(3))
def test_codes_and_keys_in_columns_of_whole_numbers(seed):
    draw, n = np.random.default_rng(seed), 20_000
    shops = draw.permutation(900)[:300]
    keys = draw.choice(10_000_000, 400, replace=False)
    codes = {"agent": shops[np.minimum(draw.geometric(0.01, n), 300) - 1], "place": draw.choice(keys, n)}
    quantities = {
        "years_old": np.clip(draw.normal(40, 14, n), 0, 99).astype(int),
        "of_month": draw.integers(1, 32, n),
        "lead": draw.exponential(80, n).astype(int),
        "paid": 5 * draw.integers(2, 200, n),
        "income": draw.lognormal(10, 1, n).astype(int),
        "spread": draw.integers(0, 10_000_000, n),
        "metres": draw.choice(np.arange(0, 100_000, 100), n),
        "order_count": shops[draw.integers(0, 300, n)],  # by its name
    }
    frame = pl.DataFrame({**codes, **quantities})
    assert kinds(infer(frame)) == dict.fromkeys(codes, "categorical") | dict.fromkeys(quantities, "numeric")
    sheets = Inferrer()
    sheets.see(frame)
    told = {sheet.name: sheet for sheet in sheets.sheets()}
    for name in codes:
        assert told[name].why.startswith("codes: whole numbers ")
        assert [choice.kind for choice in told[name].choices] == ["categorical", "numeric"]
    with_words = frame.with_columns(pl.all().cast(pl.String)).with_columns(
        pl.when(pl.int_range(n) % 7 == 0).then(pl.lit("n/a")).otherwise(pl.all()).name.keep()
    )
    assert kinds(infer(with_words)) == kinds(infer(frame))


def test_days_written_as_whole_numbers_are_days():
    days = pl.date_range(pl.date(2023, 11, 1), pl.date(2024, 3, 1), eager=True)
    numbers = days.dt.strftime("%Y%m%d").cast(pl.Int64)
    (feature,) = infer(pl.DataFrame({"d": numbers}))
    assert (feature.kind, feature.format) == ("datetime", "%Y%m%d")
    (other,) = infer(pl.DataFrame({"d": days}))
    one, two = (
        Encoder.fit([each], (frame := pl.DataFrame({"d": values}))).encode(frame).numbers
        for each, values in ((feature, numbers), (other, days))
    )
    assert one.equal(two)
    assert kinds(infer(pl.DataFrame({"d": [*numbers, *numbers, 20249999]}))) == {"d": "categorical"}


def inferred(frame):
    """The sheets of a table of which only a sample is looked at."""
    inferrer = Inferrer()
    for start in range(0, len(frame), 50_000):
        inferrer.see(frame[start : start + 50_000])
    assert not inferrer.sample.whole
    numbered = frame.with_row_index(ROW, offset=1)
    return {
        sheet.name: sheet
        for sheet in inferrer.sheets(lambda names: (numbered.select(ROW, *names)[i::3] for i in range(3)))
    }


def test_what_leaves_a_column_out_is_certain_over_all_rows():
    n = 250_000
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    whole = np.arange(n)
    odd = n // 2 + 1  # no sample of every second or fourth row from the first on has it
    frame = pl.DataFrame(
        {
            "x": x,
            "copy": x,
            "nearly": np.where(whole == odd, 0.0, x),
            "row": whole,
            "Unnamed: 0": rng.permutation(n),
            "index": np.where(whole == odd, 7, whole),
            "one": np.ones(n),
            "hardly": np.where(whole == odd, 2.5, 1.0),
            "none": pl.Series([None] * n, dtype=pl.String),
            "some": pl.Series([None] * odd + ["$1.50", None, "$2.50"] + [None] * (n - odd - 3)),
            "token_id": [f"t{i}" for i in range(n)],
            "late_id": [f"t{i if i != odd + 2 else 0}" for i in range(n)],
        }
    )
    told = {name: (sheet.kind, sheet.why) for name, sheet in inferred(frame).items()}
    assert {name for name, (kind, _) in told.items() if kind is None} == {
        *("copy", "row", "Unnamed: 0", "one", "none", "token_id"),
    }
    assert told["nearly"] == ("numeric", "fractions")
    assert told["index"][0] == "numeric"
    assert told["hardly"] == ("numeric", "fractions; nearly all rows have one value")
    assert told["some"][0] == "numeric"
    assert told["some"][1].endswith("nearly all rows have none")
    assert told["late_id"] == ("categorical", "values that repeat, though rarely")


def test_shares_of_missing_values_are_of_all_rows():
    n = 250_000
    frame = pl.DataFrame({"t": pl.Series(np.arange(n) % 9).set(pl.Series(np.arange(n) % 2 == 1), None)})
    assert inferred(frame)["t"].missing == 0.5


WORDS = ["n/a", "k.A.", "NULL", "-", "unbekannt"]
CELLS = {
    "numbers": lambda i: str(i % 90),
    "money": lambda i: f"${i % 90 + 1000:,.2f}",
    "times": lambda i: f"{i % 28 + 1}.02.2024",
    "words": lambda i: f"group {i % 3}",
}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("what", CELLS)
def test_missing_are_the_rows_that_features_read_as_missing(what, word):
    cells = [None if i % 10 == 3 else word if i % 25 == 5 else CELLS[what](i) for i in range(500)]
    frame = pl.DataFrame({"c": cells})
    (sheet,) = examine(frame)
    feature = make_feature(name="c", kind=sheet.kind, **sheet.options)
    encoded = Encoder.fit([feature], frame).encode(frame)
    nulls = pl.Series(cells).is_null().to_numpy()
    read = nulls if sheet.kind == "categorical" else encoded.numbers[:, -1].numpy() == 1
    assert sheet.missing == pytest.approx(read.mean(), abs=1e-12)
