"""Numbers, standardised."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.indicator import with_indicator
from trunkline.tables.rows import refuse_where
from trunkline.tables.schema import Feature

FAR = 1e6
"""Standard deviations beyond which a numeric value is cut: float32 arithmetic would not survive it."""


@final
@dataclass(frozen=True, kw_only=True)
class NumericColumn:
    """Standardised on the training rows; missing becomes the mean, with an indicator if training rows had any.

    Attributes:
        name: of the column.
        mean: over the training rows, after the logarithm if there is one.
        std: likewise; 1 for a constant column.
        log: sign(x)·log(1+|x|) comes first.
        indicator: whether a second input says "missing".
    """

    name: str
    mean: float
    std: float
    log: bool
    indicator: bool

    kind: ClassVar[str] = "numeric"

    @classmethod
    def fit(cls, feature: Feature, series: pl.Series) -> Self:
        """Mean and spread of one column of training rows."""
        values = _as_floats(series, log=feature.log)
        known = values[~np.isnan(values)]
        std = float(known.std()) if len(known) else 0.0
        return cls(
            name=feature.name,
            mean=float(known.mean()) if len(known) else 0.0,
            std=std if std > 0 and math.isfinite(std) else 1.0,
            log=feature.log,
            indicator=len(known) < len(values),
        )

    @property
    def width(self) -> int:
        """1, or 2 with the indicator."""
        return 1 + self.indicator

    def encode(self, series: pl.Series) -> np.ndarray:
        """`[N, width]` float32."""
        values = np.clip((_as_floats(series, log=self.log) - self.mean) / self.std, -FAR, FAR)
        return with_indicator(values[:, None], self.indicator)


def _as_floats(series: pl.Series, *, log: bool) -> np.ndarray:
    rule = "a numeric column holds numbers (make it categorical, or mend the row)"
    if isinstance(series.dtype, (pl.String, pl.Categorical, pl.Enum)):
        text = series.cast(pl.String)
        numbers = text.str.strip_chars().cast(pl.Float64, strict=False)
        truths = text.str.strip_chars().str.to_lowercase().replace_strict({"true": 1.0, "false": 0.0}, default=None)
        numbers = numbers.zip_with(numbers.is_not_null(), truths.cast(pl.Float64))
        refuse_where(text, numbers.is_null() & text.is_not_null(), rule)
        series = numbers
    elif not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise UserError(f"column {series.name!r} is {series.dtype}; {rule}")
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    refuse_where(series, np.isinf(values), "numbers are finite; leave the field empty where the value is missing")
    return np.sign(values) * np.log1p(np.abs(values)) if log else values
