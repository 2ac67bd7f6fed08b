"""True or false."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.indicator import with_indicator
from trunkline.tables.rows import refuse_where
from trunkline.tables.schema import Feature


@final
@dataclass(frozen=True, kw_only=True)
class BooleanColumn:
    """-1 for false, 1 for true, 0 for missing, with an indicator if training rows had any missing.

    Attributes:
        name: of the column.
        indicator: whether a second input says "missing".
    """

    name: str
    indicator: bool

    kind: ClassVar[str] = "boolean"

    @classmethod
    def fit(cls, feature: Feature, series: pl.Series) -> Self:
        """Whether any training row is missing."""
        return cls(name=feature.name, indicator=_as_booleans(series).null_count() > 0)

    @property
    def width(self) -> int:
        """1, or 2 with the indicator."""
        return 1 + self.indicator

    def encode(self, series: pl.Series) -> np.ndarray:
        """`[N, width]` float32."""
        values = _as_booleans(series).cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return with_indicator(values[:, None] * 2 - 1, self.indicator)


def _as_booleans(series: pl.Series) -> pl.Series:
    if series.dtype == pl.String:
        words = dict.fromkeys(("true", "1", "1.0", "yes"), True) | dict.fromkeys(("false", "0", "0.0", "no"), False)
        result = (
            series.str.strip_chars().str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
        )
    elif series.dtype.is_numeric():
        series = series.cast(pl.Float64).fill_nan(None)
        result = series.replace_strict({0.0: False, 1.0: True}, default=None, return_dtype=pl.Boolean)
    elif series.dtype in (pl.Boolean, pl.Null):
        result = series.cast(pl.Boolean)
    else:
        raise UserError(f"column {series.name!r} is {series.dtype}; a boolean column holds true/false or 1/0")
    rule = "a boolean column holds true/false or 1/0 (make it categorical or numeric)"
    refuse_where(series, result.is_null() & series.is_not_null(), rule)
    return result
