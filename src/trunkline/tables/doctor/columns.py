"""From the rows of a table to a sheet for every column."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from trunkline.tables.doctor.by_type import take
from trunkline.tables.doctor.sheet import ColumnSheet
from trunkline.tables.doctor.taken import COPY, FEW, ONCE, TEXT
from trunkline.tables.number_format import NumberFormat
from trunkline.tables.rows import ROW


def examine(frame: pl.DataFrame, *, leave_out: Collection[str] = (), comma_likely: bool = False) -> list[ColumnSheet]:
    """A sheet for every column that may be a feature, in the order of the columns.

    Args:
        frame: training rows, or an even sample of them, with their numbers in `__row__` if the order means something.
        leave_out: columns that are no features: labels, weights, row keys.
        comma_likely: whether a decimal comma is to be expected: fields are separated by semicolons.
    """
    names = [name for name in frame.columns if name != ROW and name not in leave_out]
    rows = frame[ROW] if ROW in frame.columns else pl.int_range(len(frame), eager=True)
    sheets: list[ColumnSheet] = []
    seen: dict[tuple[str, int], str] = {}
    for name in names:
        series = frame[name]
        sheet = sheet_of(series, rows, comma_likely=comma_likely)
        if sheet.kind is not None and sheet.distinct and len(series) >= FEW:
            mark = (str(series.dtype), int(series.hash().sum()))
            other = seen.setdefault(mark, name)
            if other != name and frame[other].equals(series, null_equal=True):
                sheet = replace(sheet, kind=None, options={}, why=COPY + other, choices=[])
        sheets.append(sheet)
    return sheets


def sheet_of(series: pl.Series, rows: pl.Series | None, *, comma_likely: bool = False) -> ColumnSheet:
    """The sheet of one column by itself.

    Args:
        series: `[N]`, some rows of it.
        rows: `[N]`, the rows' numbers; None where row numbers are not to be looked for.
        comma_likely: as in `examine`.
    """
    known = known_of(series)
    distinct = _distinct(known)
    taken = take(series, known, distinct, rows, comma_likely=comma_likely)
    return ColumnSheet(
        name=series.name,
        dtype=str(series.dtype),
        kind=taken.kind,
        options=dict(taken.options),
        why=taken.why,
        missing=_missing(series, known, taken.options),
        distinct=distinct or 0,
        example=_shown(known),
        remarks=[*taken.remarks, *_sparse(series, known)],
        choices=taken.choices,
    )


def confirmed(sheets: Sequence[ColumnSheet], block: pl.DataFrame | None) -> list[ColumnSheet]:
    """The sheets of a sample, where rows that follow one another show that values do repeat after all.

    Args:
        sheets: by every k-th row, which misses the repeats of a table that is sorted by them.
        block: rows without a gap.
    """
    return [
        replace(sheet, kind="categorical", why="values that repeat in rows that follow one another")
        if sheet.kind is None and sheet.why.endswith(ONCE) and block is not None and _repeats(block[sheet.name])
        else sheet
        for sheet in sheets
    ]


def _repeats(series: pl.Series) -> bool:
    known = known_of(series)
    return known.n_unique() < len(known)


def known_of(series: pl.Series) -> pl.Series:
    """The values that there are: neither null nor NaN."""
    known = series.drop_nulls()
    return known.drop_nans() if known.dtype.is_float() else known


def _distinct(known: pl.Series) -> int | None:
    """Different values; None of a type that polars cannot count."""
    if isinstance(known.dtype, (pl.Struct, pl.Object)):
        return None
    try:
        return known.n_unique()
    except pl.exceptions.PolarsError:
        return None


def _missing(series: pl.Series, known: pl.Series, options: Mapping[str, Any]) -> float:
    """Share of the rows that have no value, or a word that is read as none."""
    if not len(series):
        return 0.0
    words = options["format"] if isinstance(options.get("format"), Mapping) else options
    if isinstance(known.dtype, TEXT) and (marks := tuple(words.get("missing", ()))):
        worded = int(NumberFormat(missing=marks).missing_in(known.cast(pl.String)).sum())
        return 1 - (len(known) - worded) / len(series)
    return 1 - len(known) / len(series)


def _shown(known: pl.Series) -> str:
    if not len(known):
        return ""
    if isinstance(known.dtype, (pl.Date, pl.Datetime)):
        # Python's dates end in the year 9999, and polars panics beyond them.
        a_day = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
        per_day = a_day[known.dtype.time_unit] if isinstance(known.dtype, pl.Datetime) else 1
        if not -700_000 < int(known.to_physical()[0]) // per_day < 2_900_000:
            return ""
    first = known[0]
    if isinstance(known.dtype, (pl.List, pl.Array)):
        first = first.to_list()
    text = f"{first:.6g}" if isinstance(first, float) else str(first)
    text = " ".join(text.split())
    return text if len(text) <= 24 else f"{text[:23]}…"


def _sparse(series: pl.Series, known: pl.Series) -> list[str]:
    share = 1 - len(known) / len(series) if len(series) else 0.0
    return [f"{share:.1%} of the rows have no value"] if len(known) and share >= 0.98 else []
