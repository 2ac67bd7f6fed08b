import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline import UserError, fit
from trunkline.tables import ROW, infer
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
    "nothing": "numeric",
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
    (told,) = [record.getMessage() for record in caplog.records]
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
