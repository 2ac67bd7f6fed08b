"""Numbers such as -999 that stand for "missing" are told, and read so where the config says it."""

import numpy as np
import polars as pl
import pytest

from trunkline.tables import Encoder, make_feature
from trunkline.tables.doctor import examine, propose
from trunkline.tables.label_values import read_labels
from trunkline.tasks import TASK_KINDS

SENTINELS = (-999, -99, 999, 9999, 99999, -9999)
WAYS = {
    "floats": lambda values: pl.Series("c", values, dtype=pl.Float64),
    "text": lambda values: pl.Series("c", [f"{value:.1f}" for value in values]),
    "decimal commas": lambda values: pl.Series("c", [f"{value:.1f}".replace(".", ",") for value in values]),
    "whole": lambda values: pl.Series("c", [int(value) for value in values]),
}


def with_sentinel(sentinel, share, rows=1000):
    draw = np.random.default_rng(abs(sentinel))
    values = draw.normal(20, 4, rows).round(1)
    values[: int(share * rows)] = sentinel
    return values


@pytest.mark.parametrize("sentinel", SENTINELS)
@pytest.mark.parametrize("how", WAYS)
def test_a_sentinel_of_a_label_is_missing_and_said(how, sentinel):
    values = with_sentinel(sentinel, 0.05)
    label = WAYS[how](values)
    found = propose(label, comma_likely=how == "decimal commas")
    assert str(sentinel) in found.options["missing"]
    assert any(str(sentinel) in remark for remark in found.remarks)
    made = {key: value for key, value in found.options.items() if key != "format"}
    made["missing"] = tuple(made["missing"])
    task = TASK_KINDS.make(
        found.kind, {**made, "format": tuple(found.options.get("format", {}).items())}, name="c", label="c"
    )
    read = read_labels(task, label)
    assert read.is_null().to_list() == (values == sentinel).tolist()


@pytest.mark.parametrize("sentinel", SENTINELS)
@pytest.mark.parametrize("how", WAYS)
def test_a_sentinel_of_a_feature_is_told_with_the_line_that_makes_it_missing(how, sentinel):
    values = with_sentinel(sentinel, 0.05)
    column = WAYS[how](values)
    (sheet,) = examine(column.to_frame(), comma_likely=how == "decimal commas")
    assert sheet.kind == "numeric"
    assert any(str(sentinel) in remark for remark in sheet.remarks)
    as_number, as_missing = sheet.choices
    told = {}
    for name, choice in (("number", as_number), ("missing", as_missing)):
        encoder = Encoder.fit([make_feature(name="c", kind=choice.kind, **choice.options)], column.to_frame())
        told[name] = encoder.encode(column.to_frame()).numbers.numpy()
    assert told["number"].shape[1] == 1
    assert told["missing"][:, 1].tolist() == (values == sentinel).tolist()
    whole = values.astype(int) if how == "whole" else values
    kept = whole[values != sentinel]
    expected = (kept - kept.mean()) / kept.std()
    np.testing.assert_allclose(told["missing"][values != sentinel, 0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "values",
    [
        with_sentinel(-999, 0.001),  # once, by chance
        np.linspace(-999, 999, 500),
        with_sentinel(-998, 0.05),
        np.tile([-1.0, 0.0, 1.0, 2.0], 100),
        np.tile([0.0, -999.0], 100),
        np.exp(np.linspace(0, np.log(9999), 400)),
    ],
    ids=["once", "a range", "no nines", "small", "two", "a tail"],
)
def test_other_numbers_are_no_sentinels(values):
    values = pl.Series("c", values)
    (sheet,) = examine(values.to_frame())
    assert not sheet.doubtful or all("missing" not in choice.what for choice in sheet.choices)
    assert not any("far from" in remark for remark in propose(values).remarks)
