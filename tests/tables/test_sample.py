"""Quantiles of numeric columns, against those of numpy over all rows."""

import itertools
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import UserError
from trunkline.tables import Encoder, make_feature
from trunkline.tables.columns import sample
from trunkline.tables.columns.sample import MOST, QUANTILES, Sample
from trunkline.tables.encoder import EncoderFitter

PARTS = np.linspace(0, 1, QUANTILES)


def quantiles(values, cuts=()):
    found = Sample()
    for start, end in itertools.pairwise([0, *sorted(cuts), len(values)]):
        found.add(values[start:end])
    return found.quantiles()


def column(values, **options):
    return Encoder.fit([make_feature(name="c", kind="numeric", **options)], pl.DataFrame({"c": values})).columns[0]


@pytest.mark.parametrize("n", [1, 2, 7, 129, 1000, MOST])
def test_of_few_values_they_are_numpy_s(n):
    values = np.random.default_rng(n).normal(size=n)
    found = np.array(quantiles(values))
    assert len(found) == QUANTILES
    assert set(found) <= set(values)
    below, above = (np.quantile(values, PARTS, method=method) for method in ("lower", "higher"))
    assert ((below <= found) & (found <= above)).all()
    assert (found[0], found[-1]) == (values.min(), values.max())


ORDERS = {
    "as drawn": lambda values, draw: values,
    "rising": lambda values, draw: np.sort(values),
    "falling": lambda values, draw: np.sort(values)[::-1],
    "two halves": lambda values, draw: np.concatenate([np.sort(values)[::2], np.sort(values)[1::2]]),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize("n", [MOST + 1, 50_000, 300_001])
def test_of_many_values_they_are_near_numpy_s(order, n):
    draw = np.random.default_rng(1)
    values = order(draw.lognormal(0, 2, n), draw)
    found = quantiles(values)
    ranks = np.searchsorted(np.sort(values), found) / n  # what share of all rows lies below each
    # five standard deviations of so many draws; of rows in order next to nothing
    assert np.abs(ranks - PARTS).max() <= (
        5 * 0.5 / (MOST / 2) ** 0.5 if order is ORDERS["as drawn"] else 3 / (MOST / 2)
    )


@pytest.mark.parametrize("period", [2, 3, 4, 5, 7, 8, 10, 64, 89, 1000])
def test_rows_that_repeat_are_not_met_at_one_place(period):
    values = np.arange(200_000) % period / period
    np.testing.assert_allclose(quantiles(values), np.quantile(values, PARTS), atol=0.03 + 1 / period)
    assert len(set(quantiles(values))) >= min(period, 50)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(0, 6 * 64 + 5),
    cuts=st.lists(st.integers(0, 6 * 64 + 5), max_size=9),
    falling=st.booleans(),
)
def test_they_are_the_same_however_the_rows_are_cut(n, cuts, falling):
    values = np.random.default_rng(n).normal(size=n)
    values = np.sort(values)[::-1].copy() if falling else values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "MOST", 64)
        whole = quantiles(values)
        assert quantiles(values, [cut for cut in cuts if cut <= n]) == whole
        assert quantiles(values, range(n)) == whole
        assert quantiles(pl.concat([pl.Series(values[:5]), pl.Series(values[5:])], rechunk=False)) == whole


def test_memory_does_not_grow_with_rows():
    found = Sample()
    for start in range(0, 1_000_000, 9_999):
        found.add(np.arange(start, start + 9_999, dtype=np.float64))
        assert len(found._kept) <= MOST
    assert len(found._kept) >= MOST / 2


@pytest.mark.parametrize(
    "guise",
    [lambda c: c, lambda c: c.cast(pl.String), lambda c: c.fill_null(float("nan")), lambda c: c.cast(pl.Float32)],
    ids=["float", "text", "nan", "single"],
)
def test_a_column_keeps_those_of_its_known_values_in_its_own_units(guise):
    values = pl.Series([5.0, None, 1.0, 2.0, 2.0, None, 2.0])
    found = column(guise(values))
    assert (found.quantiles[0], found.quantiles[64], found.quantiles[-1]) == (1.0, 2.0, 5.0)
    assert list(found.quantiles) == sorted(found.quantiles)


def test_after_the_logarithm():
    values = np.random.default_rng(0).lognormal(size=1001)
    plain, logs = column(values), column(values, log=True)
    np.testing.assert_allclose(logs.quantiles, np.log1p(plain.quantiles), rtol=1e-12)


def test_json_keeps_every_digit():
    encoder = Encoder.fit(
        [make_feature(name="c", kind="numeric"), make_feature(name="d", kind="numeric", log=True)],
        pl.DataFrame({"c": [0.1, 1e300, None, 3.0], "d": [1.7e18, None, -2.5, 0.0]}),
    )
    again = Encoder.from_json(encoder.to_json())
    assert again.columns == encoder.columns
    assert again.inputs == encoder.inputs


def test_an_encoder_without_quantiles_cannot_be_read():
    (plain,) = json.loads(Encoder.fit([make_feature(name="c", kind="numeric")], pl.DataFrame({"c": [1, 2]})).to_json())
    del plain["quantiles"]
    with pytest.raises(UserError, match=r"the encoder's column 'c' cannot be read: .*quantiles"):
        Encoder.from_json(json.dumps([plain]))


FEATURES = [
    make_feature(name="user", kind="categorical"),
    make_feature(name="gaps", kind="numeric"),
    make_feature(name="flag", kind="boolean"),
    make_feature(name="picture", kind="vector"),
    make_feature(name="tags", kind="bag"),
    make_feature(name="whole", kind="numeric"),
    make_feature(name="nothing", kind="numeric"),
    make_feature(name="host", kind="hashed", rows=5),
]
TABLE = pl.DataFrame(
    {
        "user": ["a", "b", "b", "a"],
        "gaps": [1.0, None, 2.0, 3.0],
        "flag": [True, False, None, True],
        "picture": [[1.0, 2.0]] * 4,
        "tags": [["x"], [], ["y"], None],
        "whole": [7, 7, 7, 9],
        "nothing": pl.Series([None] * 4, dtype=pl.Float64),
        "host": [1, 2, 3, 4],
    }
)


def test_the_inputs_have_grids_in_the_units_of_the_encoded_numbers():
    encoder = Encoder.fit(FEATURES, TABLE)
    inputs, numbers = encoder.inputs, encoder.encode(TABLE).numbers.numpy()
    assert [grid is not None for grid in inputs.quantiles] == [True, *[False] * 5, True, *[False] * 2]
    assert len(inputs.quantiles) == inputs.numbers == 9
    known = TABLE["gaps"].is_not_null().to_numpy()
    for i, rows in ((0, known), (6, slice(None))):
        assert np.allclose(np.unique(inputs.quantiles[i]), np.unique(numbers[rows, i]), atol=1e-6)
    assert inputs.names == ("user", "host")


def test_far_values_have_far_but_finite_grids():
    (far, one) = Encoder.fit(
        [make_feature(name="a", kind="numeric"), make_feature(name="b", kind="numeric")],
        pl.DataFrame({"a": [0.0] * 9 + [1e300], "b": [4.0] * 10}),
    ).inputs.quantiles
    assert np.isfinite(far).all()
    assert set(one) == {0.0}


def test_text_with_a_bad_value_tells_the_row_and_not_the_sample():
    fitter = EncoderFitter([make_feature(name="c", kind="numeric")])
    fitter.see(pl.DataFrame({"c": ["1", "2"]}))
    fitter.see(pl.DataFrame({"c": ["3", "x"]}))
    with pytest.raises(UserError, match="'x' in row 4"):
        fitter.done()
