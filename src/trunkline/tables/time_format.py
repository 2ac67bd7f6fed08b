"""Time formats: moments as text or as numbers since 1970, read and recognised."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple, final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from trunkline.errors import Problems, UserError
from trunkline.tables.number_format import MARKS, shorter
from trunkline.tables.rows import refuse_where

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units of numbers since 1970, by how many are a second."""
ISO = "iso"
"""Year, month, day in this order, with `-`; a time of day behind a blank or `T`; a zone behind that."""
_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%y", "%m/%d/%y")
_WORDS = ("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y%m%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMATS = tuple(day + clock for day in (*_DAYS, *_WORDS) for clock in _CLOCKS)
"""Those that are looked for, beside `ISO`."""
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Numbers since 1970 that are taken for times without a word lie between them."""
LONGEST = 64
"""Bytes of a text that may be a time."""
LOOK_AT = 2_000
"""Different texts that show a format."""

PARTS = r"\d\D+\d|\d{6,}|\p{L}{3,}.*\d{4}"
"""What every moment has: two numbers, one long number, or the name of a month and a year."""


@final
@dataclass(frozen=True, kw_only=True)
class TimeFormat:
    """How moments are written.

    Attributes:
        unit: of numbers since 1970 (`s`, `ms`, `us`, `ns`); None where the column is text or has a type of its own.
        format: of text, `iso` or as `%d/%m/%Y %H:%M`; None to find the one that reads every cell.
        zone: the zone of moments that name none, such as `Europe/Berlin`; UTC if None.
        missing: words that say "missing" in a column of text, in whatever case; blanks always do.

    Raises:
        UserError: an unknown unit or zone, a format without a day; all of them.
    """

    unit: str | None = None
    format: str | None = None
    zone: str | None = None
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = Problems()
        if self.unit is not None and self.unit not in UNITS:
            problems.add(f"unit {self.unit!r}; it is one of {', '.join(UNITS)}")
        if self.unit is not None and self.format is not None:
            problems.add(f"unit {self.unit!r} beside format {self.format!r}: numbers have a unit, text has a format")
        if self.format is not None and self.format != ISO and "%" not in self.format:
            problems.add(f"format {self.format!r}; it is 'iso', or is made of parts such as %d/%m/%Y %H:%M")
        elif self.format is not None and self.format != ISO and (why := _fault(self.format)):
            problems.add(f"format {self.format!r}: {why}; it is made of parts such as %d/%m/%Y %H:%M")
        if self.zone is not None:
            try:
                ZoneInfo(self.zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                problems.add(f"zone {self.zone!r} is unknown; such as UTC or Europe/Berlin")
        problems.raise_if_any()

    def parse(self, series: pl.Series) -> pl.Series:
        """Moments `[N]` of type Datetime in milliseconds, UTC; null where the column is null.

        Raises:
            BadValue: a cell that is no moment in this format, with its row.
            UserError: a column of another type, or text whose day and month may be either.
        """
        kind = series.dtype
        if isinstance(kind, (pl.String, pl.Categorical, pl.Enum)):
            return self._from_text(self.without_missing(series.cast(pl.String)))
        if kind.is_integer() and self.format is not None:
            return self._from_text(series.cast(pl.String))  # 20240131
        if isinstance(kind, pl.Datetime):
            plain = (
                series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if kind.time_zone else self._local(series)
            )
            return plain.cast(pl.Datetime("ms"))
        if kind in (pl.Date, pl.Null):
            return series.cast(pl.Datetime("ms"))
        if kind.is_numeric() and self.unit is not None:
            millis = series.cast(pl.Float64).fill_nan(None) * (1000 / UNITS[self.unit])
            far = (millis.abs() > 8.64e15).fill_null(False)
            refuse_where(series, far.to_numpy(), f"that is no moment in {self.unit} since 1970")
            if kind.is_integer():
                exact = series.cast(pl.Int64, strict=False)
                per = UNITS[self.unit] // 1000
                return (exact // per if per else exact * 1000).cast(pl.Datetime("ms"))
            return millis.cast(pl.Int64).cast(pl.Datetime("ms"))
        remedy = "; give its unit: s, ms, us or ns since 1970" if kind.is_numeric() else ""
        raise UserError(f"column {series.name!r} is {kind}; a time is text or a date{remedy}")

    def without_missing(self, text: pl.Series) -> pl.Series:
        """The texts `[N]` without blanks around them, null where they say "missing"."""
        cells = text.str.strip_chars()
        words = ["", *(word.strip().lower() for word in self.missing)]
        marked = shorter(cells, LONGEST).str.to_lowercase().is_in(words).fill_null(False)
        return cells.set(marked, None) if marked.any() else cells

    def _local(self, series: pl.Series) -> pl.Series:
        if self.zone is None:
            return series
        zoned = series.dt.replace_time_zone(self.zone, ambiguous="earliest", non_existent="null")
        return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)

    def _from_text(self, text: pl.Series) -> pl.Series:
        if self.unit is not None:
            numbers = text.cast(pl.Float64, strict=False)
            refuse_where(text, (numbers.is_null() & text.is_not_null()).to_numpy(), "it is no number since 1970")
            whole = text.cast(pl.Int64, strict=False)
            return self.parse(whole if whole.null_count() == text.null_count() else numbers)
        form = self.format
        if form is None:
            found = recognise_times(text)
            if found is None:
                refuse_where(
                    text, text.is_not_null().to_numpy(), "a time is a date, or written as one; give its format"
                )
                return pl.Series(text.name, [None] * len(text), dtype=pl.Datetime("ms"))
            if len(found.formats) > 1:
                row = int(text.is_not_null().arg_max() or 0)
                either = " or ".join(map(repr, found.formats))
                raise UserError(
                    f"column {text.name!r} holds {text[row]!r} in row {row + 1}, which may be {either}; say which"
                )
            form = found.formats[0]
        moments = self._local(read_times(text, form)).cast(pl.Datetime("ms"))
        wrong = ((moments.is_null() | (moments.dt.year() < 1000)) & text.is_not_null()).to_numpy()
        refuse_where(text, wrong, f"times there are written as {form!r}; mend the row, or give another format")
        return moments


@cache
def _fault(form: str) -> str:
    """Why a format reads nothing; empty where it may read something."""
    try:
        pl.Series(["1"]).str.to_datetime(form, strict=False, time_unit="us")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return ""


class Times(NamedTuple):
    """How moments are written.

    Attributes:
        formats: under which most cells are moments; several where day and month may be either.
        share: of the cells that have a value, how many are.
        missing: words among them that say that there is none.
    """

    formats: Sequence[str]
    share: float
    missing: Sequence[str] = ()


def recognise_times(text: pl.Series) -> Times | None:
    """How the moments of a column of text are written; None where fewer than half of the cells are one.

    Args:
        text: `[N]` of type String, some rows.
    """
    values = text.drop_nulls()
    values = values.set(values.str.len_bytes() > LONGEST, "a long text").str.strip_chars()
    values = values.unique(maintain_order=True).head(LOOK_AT)
    marked = values.str.to_lowercase().is_in(MARKS)
    missing, values = values.filter(marked).to_list(), values.filter(~marked & (values != ""))
    if 2 * int(values.head(20).str.contains(PARTS).sum()) < len(values.head(20)) or not len(values):
        return None
    found: dict[str, tuple[int, pl.Series]] = {}
    for form in (ISO, *FORMATS):
        if 2 * _fitting(values.head(20), form) < len(values.head(20)):
            continue
        count, read = _fitting(values, form), read_times(values, form)
        if not any(read.equals(other) for _, other in found.values()):
            found[form] = count, read
    most = max((count for count, _ in found.values()), default=0)
    if 2 * most < len(values):
        return None
    return Times([form for form, (count, _) in found.items() if count == most], most / len(values), missing)


def fits(text: pl.Series, form: str) -> bool:
    """Whether every cell that is not null is a moment in this format."""
    return _fitting(text, form) == len(text) - text.null_count()


def _fitting(text: pl.Series, form: str) -> int:
    """Cells that are moments in a format, with a year of four digits where the format asks for one."""
    return int((read_times(text, form).dt.year() >= 1000).sum())


def read_times(text: pl.Series, form: str) -> pl.Series:
    """Moments `[N]` in microseconds, UTC where the text names a zone; null where the format does not fit."""
    text = shorter(text, LONGEST)
    if form != ISO:
        return text.str.to_datetime(form, strict=False, time_unit="us", exact=True)
    for usual in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"):
        quick = text.str.to_datetime(usual, strict=False, time_unit="us")
        if quick.null_count() == text.null_count():
            return quick
    days = text.str.extract(r"^(\d{4}-\d{2}-\d{2})$").str.to_datetime("%Y-%m-%d", strict=False, time_unit="us")
    clock = r"^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(:\d{2})?([.,]\d{1,9})?\s*"
    normal = text.str.replace(rf"{clock}(Z|UTC|[+-]\d{{2}}:?\d{{2}}|[+-]\d{{2}})?$", "${1}T${2}|${3}|${4}|${5}")
    parts = normal.str.split_exact("|", 3).struct.unnest()
    stem, seconds, rest, zone = (parts.get_column(name) for name in parts.columns)
    seconds = seconds.fill_null("").replace("", ":00")
    rest = rest.fill_null("").str.replace(",", ".", literal=True)
    base = (stem + seconds + rest).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")
    zone = zone.fill_null("").str.replace(":", "", literal=True).replace(["Z", "UTC", ""], ["+0000"] * 3)
    zone = zone.str.pad_end(5, "0")
    minutes = zone.str.slice(1, 2).cast(pl.Int64, strict=False) * 60 + zone.str.slice(3, 2).cast(pl.Int64, strict=False)
    signed = pl.select(pl.when(zone.str.starts_with("-")).then(-minutes).otherwise(minutes)).to_series()
    moved = base - (signed * 60_000_000).cast(pl.Duration("us"))
    return days.zip_with(days.is_not_null(), moved).alias(text.name)


def unit_of(numbers: pl.Series) -> str | None:
    """The unit in which whole numbers are moments of our time since 1970; None where they are in none."""
    low, high = numbers.min(), numbers.max()
    if low is None or high is None:
        return None
    for unit, per in UNITS.items():
        if EARLIEST.timestamp() * per <= float(low) and float(high) <= LATEST.timestamp() * per:  # type: ignore[arg-type]
            return unit
    return None
