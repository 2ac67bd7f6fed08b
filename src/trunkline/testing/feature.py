"""The contract of feature kinds that become numbers."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from trunkline.tables import NumberColumn, NumberFeature
from trunkline.tables.columns import FEATURE_KINDS, column_from_json, column_to_json


def check_feature(build: Callable[[str], NumberFeature], values: pl.Series) -> None:
    """Hold a feature kind to its contract.

    Args:
        build: from a name to a feature of the kind, as a config would make it.
        values: `[N]`, a dozen training rows that the kind can have, in the type that a table would have; nulls among
            them where it takes any.

    Raises:
        AssertionError: a property that does not hold.
    """
    kept = values.clone()
    column = _fitted(build, [values])
    whole = _encoded(column, values)
    _learns_the_same_from_chunks(build, values, column)
    _encodes_each_row_by_itself(column, values, whole)
    _comes_back_from_json(column, values, whole)
    _tells_where_nothing_is(column, values, whole)
    shown = column.components(whole.T)
    assert len({len(one) for one in shown.values()} | {len(values)}) == 1, "components of another number of rows"
    assert values.equals(kept, null_equal=True), "the rows were changed"


def _fitted(build: Callable[[str], NumberFeature], chunks: Sequence[pl.Series]) -> NumberColumn:
    feature = build("x")
    assert feature.name == "x", f"the feature is called {feature.name!r}, not as it was asked for"
    fitter = feature.fitter()
    for chunk in chunks:
        fitter.see(chunk.alias("x"))
    column = fitter.done()
    assert isinstance(column, feature.column), f"the fitter makes a {type(column).__name__}, no {feature.column}"
    assert (column.name, column.kind) == ("x", feature.kind), "the column has another name or kind than its feature"
    return column


def _encoded(column: NumberColumn, values: pl.Series) -> np.ndarray:
    # What lies beside the rows is another column's, and what lay there before is not to be read.
    block = np.full((column.width + 2, len(values)), np.nan, dtype=np.float32)
    column.encode(values.alias("x"), block[1:-1])
    assert np.isnan(block[[0, -1]]).all(), "encode wrote beside its own numbers"
    assert np.isfinite(block[1:-1]).all(), f"a number that is not finite, or {column.width} were not all written"
    return block[1:-1]


def _learns_the_same_from_chunks(
    build: Callable[[str], NumberFeature], values: pl.Series, column: NumberColumn
) -> None:
    for size in (1, 5):
        chunks = [values.slice(start, size) for start in range(0, len(values), size)]
        again = _fitted(build, [*chunks[:2], values.slice(0, 0), *chunks[2:]])
        assert again.width == column.width, (
            f"{again.width} numbers when learnt {size} rows at a time, {column.width} at once"
        )
        near = np.allclose(_encoded(again, values), _encoded(column, values), rtol=1e-5, atol=1e-5)
        assert near, f"other numbers when learnt {size} rows at a time"


def _encodes_each_row_by_itself(column: NumberColumn, values: pl.Series, whole: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(len(values))
    assert (_encoded(column, values.gather(order)) == whole[:, order]).all(), "a row's numbers hang on other rows"
    for row in range(len(values)):
        assert (_encoded(column, values.slice(row, 1))[:, 0] == whole[:, row]).all(), f"row {row} alone is another"
    assert _encoded(column, values.slice(0, 0)).shape == (column.width, 0)


def _comes_back_from_json(column: NumberColumn, values: pl.Series, whole: np.ndarray) -> None:
    if column.kind not in FEATURE_KINDS:
        return  # not registered: nothing would find it
    again = column_from_json(json.loads(json.dumps(column_to_json(column), allow_nan=False)))
    assert again == column, "the column that comes back from JSON is another one"
    assert isinstance(again, NumberColumn)
    assert (_encoded(again, values) == whole).all(), "the column that comes back from JSON encodes otherwise"


def _tells_where_nothing_is(column: NumberColumn, values: pl.Series, whole: np.ndarray) -> None:
    missing = values.is_null().to_numpy()
    if column.has_indicator:
        assert (whole[-1] == missing).all(), "the indicator does not say which rows have no value"
    for kind in (values.dtype, pl.Null()):  # a part without one value has no type of its own
        none = _encoded(column, pl.Series("x", [None] * 3, dtype=kind))
        assert (none == none[:, :1]).all(), "rows without a value differ"
    if column.zero_is_missing and column.width and not column.has_indicator:
        assert not none.any(), "zero_is_missing, but a row without a value is not 0"
        assert ((whole == 0).all(axis=0) <= missing).all(), "zero_is_missing, but zeros stand for a value"
    if len(grids := column.grids) != column.width:
        raise AssertionError(f"{len(grids)} grids for {column.width} numbers")
