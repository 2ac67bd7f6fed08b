"""Datetime features, as the cycles that moments lie in."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.base import NumberColumn, NumberFeature, NumberFitter
from trunkline.tables.columns.indicator import write_indicator
from trunkline.tables.rows import refuse_where

MILLIS_A_DAY = 86_400_000


@final
@dataclass(frozen=True, kw_only=True)
class DatetimeColumn(NumberColumn):
    """Cycles of the day, the week and the year, as sine and cosine; only those that the training rows go through.

    Absolute time is left out on purpose: rows to predict lie after the training rows.

    Attributes:
        periods: lengths of the cycles in days: 1, 7 or 365.2425.
        indicator: whether an input says "missing".

    Raises:
        UserError: a cycle whose length is not above 0.
    """

    periods: tuple[float, ...]
    indicator: bool

    kind: ClassVar[str] = "datetime"
    zero_is_missing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not min(self.periods, default=1.0) > 0:
            raise UserError(f"periods {self.periods}: each must be above 0")

    @property
    def width(self) -> int:
        """Two a cycle, and one for the indicator."""
        return 2 * len(self.periods) + self.indicator

    def components(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Of each cycle its angle; see `NumberColumn`."""
        names, cycles = {1.0: "hour", 7.0: "weekday"}, len(self.periods)
        return {
            f" ({names.get(period, 'season')})": np.arctan2(values[:, i], values[:, cycles + i])
            for i, period in enumerate(self.periods)
        }

    def encode(self, series: pl.Series, out: np.ndarray) -> None:
        """Write the rows over `out` `[width, N]` float32."""
        millis = _as_millis(series)
        days = millis.fill_null(0).to_numpy() / MILLIS_A_DAY
        for i, period in enumerate(self.periods):
            turns = days / period
            turns -= np.floor(turns)  # what is left is exact enough for float32, whose sine is the faster one
            angles = (2 * np.pi * turns).astype(np.float32)
            np.sin(angles, out=out[i])
            np.cos(angles, out=out[len(self.periods) + i])
        missing = millis.is_null().to_numpy() if millis.null_count() else None
        if missing is not None:
            out[:, missing] = 0.0
        if self.indicator:
            write_indicator(out, missing)


@final
@dataclass(frozen=True, kw_only=True)
class Datetime(NumberFeature):
    """A moment: hour, weekday and day of the year as cycles."""

    kind: ClassVar[str] = "datetime"
    column: ClassVar[type[NumberColumn]] = DatetimeColumn

    def fitter(self) -> "DatetimeFitter":
        """See `NumberFeature`."""
        return DatetimeFitter(self)


@final
class DatetimeFitter(NumberFitter):
    """The cycles that training rows go through.

    Args:
        feature: whose column it is.
    """

    def __init__(self, feature: Datetime) -> None:
        self._name = feature.name
        self._moments: list[int] = []
        """The earliest and the latest, in milliseconds."""
        self._time_of_day = self._indicator = False

    def see(self, series: pl.Series) -> None:
        """Take in some rows."""
        millis = _as_millis(series)
        self._indicator |= millis.null_count() > 0
        seen = [moment for moment in (millis.min(), millis.max()) if isinstance(moment, int)]
        if seen:
            self._moments = [min(*self._moments, *seen), max(*self._moments, *seen)]
            self._time_of_day = self._time_of_day or bool((millis % MILLIS_A_DAY != 0).any())

    def done(self) -> DatetimeColumn:
        """The column."""
        span = (self._moments[1] - self._moments[0]) / MILLIS_A_DAY if self._moments else 0.0
        periods = ((1.0,) if self._time_of_day else ()) + tuple(p for p in (7.0, 365.2425) if span >= p - 1)
        return DatetimeColumn(name=self._name, periods=periods, indicator=self._indicator)


def _as_millis(series: pl.Series) -> pl.Series:
    """Int64 milliseconds since 1970."""
    if series.dtype == pl.String:
        try:
            parsed = series.str.to_datetime(strict=False, time_unit="ms")
        except pl.exceptions.ComputeError:  # not one value looks like a date
            parsed = pl.Series(series.name, [None] * len(series), dtype=pl.Datetime("ms"))
        refuse_where(series, parsed.is_null() & series.is_not_null(), "a datetime column holds dates or times")
        series = parsed
    elif not (isinstance(series.dtype, (pl.Date, pl.Datetime)) or series.dtype == pl.Null):
        raise UserError(f"column {series.name!r} is {series.dtype}; a datetime column holds dates or times")
    return series.cast(pl.Datetime("ms")).to_physical()
