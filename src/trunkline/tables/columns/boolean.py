"""Boolean features."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.base import NumberColumn, NumberFeature, NumberFitter
from trunkline.tables.columns.indicator import write_indicator
from trunkline.tables.rows import refuse_where

_WORDS = dict.fromkeys(("true", "1", "1.0", "yes"), True) | dict.fromkeys(("false", "0", "0.0", "no"), False)


@final
@dataclass(frozen=True, kw_only=True)
class BooleanColumn(NumberColumn):
    """-1 for false, 1 for true, 0 for missing, with an indicator if training rows had any missing.

    Attributes:
        indicator: whether a second input says "missing".
    """

    indicator: bool

    kind: ClassVar[str] = "boolean"
    zero_is_missing: ClassVar[bool] = True

    @property
    def width(self) -> int:
        """1, or 2 with the indicator."""
        return 1 + self.indicator

    def encode(self, series: pl.Series, out: np.ndarray) -> None:
        """Write the rows over `out` `[width, N]` float32."""
        values = _as_booleans(series)
        out[0] = (values.cast(pl.Float32) * 2 - 1).fill_null(0.0).to_numpy()
        if self.indicator:
            write_indicator(out, values.is_null().to_numpy())


@final
@dataclass(frozen=True, kw_only=True)
class Boolean(NumberFeature):
    """True or false."""

    kind: ClassVar[str] = "boolean"
    column: ClassVar[type[NumberColumn]] = BooleanColumn

    def fitter(self) -> "BooleanFitter":
        """See `NumberFeature`."""
        return BooleanFitter(self)


@final
class BooleanFitter(NumberFitter):
    """Learns whether any training row is missing.

    Args:
        feature: whose column it is.
    """

    def __init__(self, feature: Boolean) -> None:
        self._name, self._indicator = feature.name, False

    def see(self, series: pl.Series) -> None:
        """Take in some rows."""
        self._indicator |= _as_booleans(series).null_count() > 0

    def done(self) -> BooleanColumn:
        """The column."""
        return BooleanColumn(name=self._name, indicator=self._indicator)


def _as_booleans(series: pl.Series) -> pl.Series:
    if series.dtype == pl.String:
        result = series.str.strip_chars().str.to_lowercase()
        result = result.replace_strict(_WORDS, default=None, return_dtype=pl.Boolean)
    elif series.dtype.is_numeric():
        series = series.cast(pl.Float64).fill_nan(None)
        result = (series == 1.0).set(~series.is_in([0.0, 1.0]), None)
    elif series.dtype in (pl.Boolean, pl.Null):
        return series.cast(pl.Boolean)
    else:
        raise UserError(f"column {series.name!r} is {series.dtype}; a boolean column holds true/false or 1/0")
    if result.null_count() > series.null_count():
        rule = "a boolean column holds true/false or 1/0 (make it categorical or numeric)"
        refuse_where(series, result.is_null() & series.is_not_null(), rule)
    return result
