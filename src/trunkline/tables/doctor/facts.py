"""Facts of a column that all rows have shown, beside the sample of them."""

from dataclasses import replace
from typing import Any, final

import polars as pl

from trunkline.tables.doctor.columns import sheet_of
from trunkline.tables.doctor.integers import EXACT
from trunkline.tables.doctor.sheet import ColumnSheet
from trunkline.tables.doctor.taken import NO_VALUE, ONE_VALUE

SOME = 1_000
"""Values of a column of hardly any, or of hardly any other than one, that are kept."""


@final
class Facts:
    """What all rows of one column have shown: whether it varies, how large its whole numbers are, where it is null."""

    def __init__(self) -> None:
        self._largest, self._nulls, self._rows = 0, 0, 0
        self._first: pl.Series | None = None
        self._others: list[pl.Series] = []
        self._kept = 0

    def see(self, series: pl.Series) -> None:
        """Look at some rows."""
        self._rows += len(series)
        self._nulls += series.null_count()
        if series.dtype.is_integer():
            ends: list[Any] = [series.min(), series.max()]
            self._largest = max([self._largest, *(abs(int(end)) for end in ends if end is not None)])
        if self._kept >= SOME or isinstance(series.dtype, pl.Struct) or series.dtype == pl.Object:
            return
        known = series.drop_nulls()
        known = known.drop_nans() if known.dtype.is_float() else known
        if not len(known):
            return
        if self._first is None or self._first.dtype != known.dtype:
            self._first, self._others, self._kept = known.head(1), [], 0
        nested = known.dtype.is_nested()
        unlike = known.filter(~known.is_in(self._first.implode())) if not nested else known.unique(maintain_order=True)
        if nested:
            unlike = pl.concat([self._first, unlike]).unique(maintain_order=True).slice(1)
        self._others.append(unlike.head(SOME - self._kept))
        self._kept += len(self._others[-1])

    def widen(self, sheet: ColumnSheet, *, comma_likely: bool) -> ColumnSheet:
        """The sheet of a sample, where rows outside it change what the column is.

        Args:
            sheet: by the sample.
            comma_likely: as in `examine`.
        """
        if sheet.kind is None and sheet.why in (ONE_VALUE, NO_VALUE) and self._first is not None:
            seen = pl.concat([self._first, *self._others])
            if sheet.why == NO_VALUE or self._kept:
                found = sheet_of(seen.alias(sheet.name), None, comma_likely=comma_likely)
                rare = f"; nearly all rows have {'one value' if sheet.why == ONE_VALUE else 'none'}"
                why = found.why if found.why == ONE_VALUE else found.why + rare
                sheet = replace(found, why=why, missing=sheet.missing)
        if sheet.kind == "numeric" and self._largest > EXACT and not sheet.options:
            sheet = replace(sheet, kind="categorical", why="whole numbers too large for a quantity")
        return replace(sheet, missing=max(sheet.missing, self._nulls / self._rows)) if self._rows else sheet
