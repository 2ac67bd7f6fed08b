"""Whole numbers: row numbers, moments, days, ids, codes or quantities."""

from typing import Any

import polars as pl

from trunkline.tables.doctor.codes import why_coded
from trunkline.tables.doctor.names import CODE, ID, INDEX, TIME
from trunkline.tables.doctor.sentinels import or_sentinel
from trunkline.tables.doctor.sheet import Choice
from trunkline.tables.doctor.taken import FEW, ROW_NUMBERS, Taken, once, since_1970
from trunkline.tables.time_format import unit_of

EXACT = 2**24
"""Whole numbers beyond it are not exact in float32."""
DAYS, LEAST_DAYS = "%Y%m%d", 10
"""Dates as whole numbers, and how many different ones show that they are."""


def take_integers(series: pl.Series, known: pl.Series, distinct: int, rows: pl.Series | None) -> Taken:
    """What a column of whole numbers is taken for; see `by_type.take`."""
    name = series.name
    if is_index(series, known, rows):
        return Taken(None, ROW_NUMBERS)
    if _are_days(known, distinct):
        return Taken("datetime", f"dates as whole numbers, {DAYS}", {"format": DAYS})
    unit = unit_of(known) if len(known) >= 2 else None
    if unit is not None and TIME.search(name):
        return since_1970(unit)
    if ID.search(name):
        return once(known, distinct, "an id, by its name") or Taken("categorical", "an id, by its name")
    if CODE.search(name):
        return Taken("categorical", "a code, by its name")
    if series.dtype in (pl.Int128, pl.UInt128) or _largest(known) > EXACT:
        return once(known, distinct, "too large for a quantity") or Taken(
            "categorical", "whole numbers too large for a quantity"
        )
    if why := why_coded(name, known.cast(pl.Float64)):
        choices = [Choice("codes", "categorical"), Choice("quantities", "numeric")]
        return Taken("categorical", f"codes: {why}", choices=choices)
    return or_sentinel(Taken("numeric", "whole numbers"), known)


def _largest(known: pl.Series) -> int:
    ends: list[Any] = [known.min(), known.max()]
    return max((abs(int(end)) for end in ends if end is not None), default=0)


def _are_days(known: pl.Series, distinct: int) -> bool:
    """Whether numbers of eight digits are years, months and days."""
    ends: list[Any] = [known.min(), known.max()]
    if distinct < LEAST_DAYS or not 19_000_000 < ends[0] <= ends[1] < 21_000_000:
        return False
    return not known.unique().cast(pl.String).str.to_date(DAYS, strict=False).null_count()


def is_index(series: pl.Series, known: pl.Series, rows: pl.Series | None) -> bool:
    """Whether a column counts the rows: by its values, or by its name where no two rows are alike."""
    if (
        rows is None
        or len(known) < len(series)
        or len(series) < FEW
        or not series.dtype.is_numeric()
        or series.dtype.is_decimal()
    ):
        return False
    if series.dtype.is_integer() and _largest(known) < 2**53:
        apart = series.cast(pl.Float64) - rows.cast(pl.Float64)
        if apart.n_unique() == 1:
            return True
    return bool(INDEX.fullmatch(series.name.strip())) and known.n_unique() == len(known)
