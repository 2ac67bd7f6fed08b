"""Missing-value indicators."""

import math

import numpy as np
import polars as pl

from trunkline.tables.rows import refuse_where


def missing_in(values: np.ndarray, series: pl.Series) -> np.ndarray | None:
    """`[N]` bool, true where the column's float64 values are NaN; None where none is.

    Raises:
        BadValue: an infinite value.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if math.isfinite(values.sum()):  # one pass that tells at once, almost always
            return None
    refuse_where(series, np.isinf(values), "numbers are finite; leave the field empty where the value is missing")
    missing = np.isnan(values)
    return missing if missing.any() else None


def write_indicator(out: np.ndarray, missing: np.ndarray | None) -> None:
    """Say in the last row of `out` `[k, N]` which of the N are missing."""
    out[-1] = 0.0 if missing is None else missing
