"""Datetime features, as the cycles that moments lie in."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.base import NumberColumn, NumberFeature, NumberFitter
from trunkline.tables.columns.indicator import write_indicator
from trunkline.tables.time_format import TimeFormat, fits, recognise_times

MILLIS_A_DAY = 86_400_000


@final
@dataclass(frozen=True, kw_only=True)
class DatetimeColumn(NumberColumn):
    """Cycles of the day, the week and the year, as sine and cosine; only those that the training rows go through.

    Absolute time is left out on purpose: rows to predict lie after the training rows.

    Attributes:
        periods: lengths of the cycles in days: 1, 7 or 365.2425.
        indicator: whether an input says "missing".
        unit: as in `TimeFormat`.
        format: likewise; what training rows showed, where nobody said it.
        zone: likewise.
        missing: likewise.

    Raises:
        UserError: a cycle whose length is not above 0.
    """

    periods: tuple[float, ...]
    indicator: bool
    unit: str | None = None
    format: str | None = None
    zone: str | None = None
    missing: tuple[str, ...] = ()

    kind: ClassVar[str] = "datetime"
    zero_is_missing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not min(self.periods, default=1.0) > 0:
            raise UserError(f"periods {self.periods}: each must be above 0")
        _ = self._written

    @property
    def _written(self) -> TimeFormat:
        return TimeFormat(unit=self.unit, format=self.format, zone=self.zone, missing=self.missing)

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
        millis = self._written.parse(series).to_physical()
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
    """A moment: hour, weekday and day of the year as cycles.

    Attributes:
        unit: of numbers since 1970: `s`, `ms`, `us` or `ns`.
        format: of text, such as `%d/%m/%Y %H:%M`; found in the training rows unless given.
        zone: of moments that name none, such as `Europe/Berlin`; UTC unless given.
        missing: words that say "missing" in a column of text.
    """

    unit: str | None = None
    format: str | None = None
    zone: str | None = None
    missing: list[str] | None = None

    kind: ClassVar[str] = "datetime"
    column: ClassVar[type[NumberColumn]] = DatetimeColumn

    def faults(self) -> Iterator[str]:
        """See `Feature`."""
        try:
            TimeFormat(unit=self.unit, format=self.format, zone=self.zone)
        except UserError as error:
            yield from error.problems

    @property
    def reads_text(self) -> bool:
        """Text of a format of its own is not to be read as somebody else's."""
        return self.format is not None

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
        self._feature, self._indicator = feature, False
        self._seen: dict[str | None, _Seen] | None = None
        """By each format that reads all text so far."""

    def see(self, series: pl.Series) -> None:
        """Take in some rows."""
        f = self._feature
        given = TimeFormat(unit=f.unit, format=f.format, zone=f.zone, missing=tuple(f.missing or ()))
        text = isinstance(series.dtype, (pl.String, pl.Categorical, pl.Enum)) and f.format is None and f.unit is None
        cells = given.without_missing(series.cast(pl.String)) if text else series
        if text and cells.null_count() < len(cells):
            known = None if self._seen is None else [form for form in self._seen if form is not None]
            if not known:
                found = recognise_times(cells)
                known = list(found.formats) if found is not None else []
            forms: list[str | None] = [*(form for form in known if fits(cells, form))]
            forms = forms or [*known[:1]] or [None]  # the first one then says which row it cannot read
        else:
            forms = [f.format] if self._seen is None else list(self._seen)
        seen = self._seen or {}
        self._seen = {form: seen.get(form, _Seen()) for form in forms}
        for form, facts in self._seen.items():
            millis = replace(given, format=form).parse(cells).to_physical()
            facts.see(millis)
            self._indicator |= millis.null_count() > 0

    def done(self) -> DatetimeColumn:
        """The column.

        Raises:
            UserError: text whose day and month may be either.
        """
        f, seen = self._feature, self._seen or {f_: _Seen() for f_ in [self._feature.format]}
        if len(seen) > 1:
            either = " or ".join(repr(form) for form in seen)
            raise UserError(
                f"column {f.name!r} holds times that may be written as {either}; say which: features.{f.name}.format"
            )
        ((form, facts),) = seen.items()
        periods = facts.periods()
        return DatetimeColumn(
            name=f.name,
            periods=periods,
            indicator=self._indicator,
            unit=f.unit,
            format=form,
            zone=f.zone,
            missing=tuple(f.missing or ()),
        )


class _Seen:
    """What moments have shown."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        """The earliest and the latest, in milliseconds."""
        self._time_of_day = False

    def see(self, millis: pl.Series) -> None:
        ends = [moment for moment in (millis.min(), millis.max()) if isinstance(moment, int)]
        if ends:
            self._ends = [min(*self._ends, *ends), max(*self._ends, *ends)]
            self._time_of_day = self._time_of_day or bool((millis % MILLIS_A_DAY != 0).any())

    def periods(self) -> tuple[float, ...]:
        """The cycles that they go through, in days."""
        span = (self._ends[1] - self._ends[0]) / MILLIS_A_DAY if self._ends else 0.0
        return ((1.0,) if self._time_of_day else ()) + tuple(p for p in (7.0, 365.2425) if span >= p - 1)
