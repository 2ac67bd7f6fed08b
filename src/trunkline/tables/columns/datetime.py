"""Moments, as the cycles they lie in."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.indicator import with_indicator
from trunkline.tables.rows import refuse_where
from trunkline.tables.schema import Feature

MILLIS_A_DAY = 86_400_000


@final
@dataclass(frozen=True, kw_only=True)
class DatetimeColumn:
    """Cycles of the day, the week and the year, as sine and cosine; only those that the training rows go through.

    Absolute time is left out on purpose: rows to predict lie after the training rows.

    Attributes:
        name: of the column.
        periods: lengths of the cycles in days: 1, 7 or 365.2425.
        indicator: whether an input says "missing".
    """

    name: str
    periods: tuple[float, ...]
    indicator: bool

    kind: ClassVar[str] = "datetime"

    @classmethod
    def fit(cls, feature: Feature, series: pl.Series) -> Self:
        """The cycles that one column of training rows goes through."""
        days = _as_days(series)
        known = days[~np.isnan(days)]
        span = float(np.ptp(known)) if len(known) else 0.0
        periods: tuple[float, ...] = (1.0,) if len(known) and bool((known % 1 != 0).any()) else ()
        periods += tuple(period for period in (7.0, 365.2425) if span >= period - 1)
        return cls(name=feature.name, periods=periods, indicator=len(known) < len(days))

    @property
    def width(self) -> int:
        """Two a cycle, and one for the indicator."""
        return 2 * len(self.periods) + self.indicator

    def encode(self, series: pl.Series) -> np.ndarray:
        """`[N, width]` float32."""
        days = _as_days(series)
        angles = 2 * np.pi * days[:, None] / np.asarray(self.periods)[None, :]
        return with_indicator(np.hstack([np.sin(angles), np.cos(angles)]), self.indicator, missing=np.isnan(days))


def _as_days(series: pl.Series) -> np.ndarray:
    if series.dtype == pl.String:
        try:
            parsed = series.str.to_datetime(strict=False, time_unit="ms")
        except pl.exceptions.ComputeError:  # not one value looks like a date
            parsed = pl.Series(series.name, [None] * len(series), dtype=pl.Datetime("ms"))
        refuse_where(series, parsed.is_null() & series.is_not_null(), "a datetime column holds dates or times")
        series = parsed
    elif not (isinstance(series.dtype, (pl.Date, pl.Datetime)) or series.dtype == pl.Null):
        raise UserError(f"column {series.name!r} is {series.dtype}; a datetime column holds dates or times")
    millis = series.cast(pl.Datetime("ms")).to_physical().cast(pl.Float64).fill_null(float("nan"))
    return millis.to_numpy() / MILLIS_A_DAY
