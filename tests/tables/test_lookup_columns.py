import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.tables.columns.lookup import RangeLookup, TableLookup, make_lookup
from trunkline.tables.columns.moments import Moments

VALUES = {
    pl.Int64(): st.integers(-(2**63), 2**63 - 1) | st.integers(-50, 50) | st.integers(0, 90).map(lambda k: k << 56),
    pl.UInt64(): st.integers(0, 2**64 - 1) | st.integers(2**64 - 50, 2**64 - 1),
    pl.Float64(): st.floats(allow_nan=False),
    pl.String(): st.text(st.characters(codec="utf-8"), max_size=5),
}


@pytest.mark.parametrize("dtype", VALUES, ids=str)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_lookup_finds_what_a_dict_finds(dtype, data):
    known = list(dict.fromkeys(data.draw(st.lists(VALUES[dtype], max_size=60))))
    asked = known + data.draw(st.lists(VALUES[dtype]))
    vocabulary, values = pl.Series(known, dtype=dtype), pl.Series(asked, dtype=dtype)
    expected = [{value: i for i, value in enumerate(known)}.get(value, -1) for value in asked]
    assert make_lookup(vocabulary).find(values).tolist() == expected
    assert TableLookup(vocabulary).find(values).tolist() == expected
    assert len(make_lookup(vocabulary).find(pl.Series([*asked, None], dtype=dtype))) == len(asked) + 1


@pytest.mark.parametrize("keys", [np.arange(20_000) << 44, np.arange(20_000), np.arange(20_000) * 2**32 + 5])
def test_keys_in_a_pattern_are_found_too(keys):
    lookup = TableLookup(pl.Series(keys))
    assert lookup.find(pl.Series(keys[::-1].copy())).tolist() == list(range(len(keys)))[::-1]
    assert (lookup.find(pl.Series(keys + 1)) == np.where(np.isin(keys + 1, keys), np.arange(1, 20_001), -1)).all()


def test_the_quickest_lookup_is_taken():
    assert isinstance(make_lookup(pl.Series(["a"])), TableLookup)
    assert isinstance(make_lookup(pl.Series([5, -5])), RangeLookup)
    assert isinstance(make_lookup(pl.Series([0, 2**40])), TableLookup)
    assert isinstance(make_lookup(pl.Series([0.5])), TableLookup)


@pytest.mark.parametrize("shape", [(500,), (500, 3)])
@pytest.mark.parametrize("shift", [0.0, 1e9])
def test_moments_in_chunks_are_those_of_the_whole(shape, shift):
    draw = np.random.default_rng(1)
    values = draw.normal(size=shape) + shift
    for cuts in ([], [1], [3, 3, 200], sorted(draw.integers(0, 500, 40))):
        moments = Moments()
        for chunk in np.split(values, cuts):
            moments.add(chunk)
        assert moments.count == 500
        np.testing.assert_allclose(moments.mean, values.mean(axis=0), rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(moments.std, values.std(axis=0), rtol=1e-7)


def test_a_constant_has_no_spread_however_it_is_cut():
    moments = Moments()
    for n in (1, 7, 1000, *[3] * 500):
        moments.add(np.full(n, 0.1))
        assert moments.std == 0
    assert moments.mean == pytest.approx(0.1, rel=1e-14)


def test_moments_of_nothing():
    moments = Moments()
    moments.add(np.empty(0))
    assert (moments.count, moments.mean, moments.std) == (0, 0, 0)
