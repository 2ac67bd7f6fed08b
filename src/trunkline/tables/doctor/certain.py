"""Certainty: what leaves a column out by a sample of the rows is held against all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import final

import polars as pl

from trunkline.tables.doctor.columns import known_of
from trunkline.tables.doctor.sheet import ColumnSheet
from trunkline.tables.doctor.taken import COPY, ONCE, ROW_NUMBERS
from trunkline.tables.rows import ROW

MOST = 10_000_000
"""Values of a column that are held against one another; of more, the first ones."""

Chunks = Callable[[Sequence[str]], Iterator[pl.DataFrame]]


def certain(
    sheets: Sequence[ColumnSheet], chunks: Chunks, again: Callable[[ColumnSheet], ColumnSheet]
) -> list[ColumnSheet]:
    """The sheets, with what only a sample has shown of copies, row numbers and values that never repeat.

    Args:
        sheets: by a sample.
        chunks: of columns by their names, all rows with their numbers.
        again: the sheet of a column that is no copy and does not count the rows after all.
    """
    claims = {sheet.name: claim for sheet in sheets if (claim := _claim(sheet)) is not None}
    if not claims:
        return list(sheets)
    columns = list(dict.fromkeys(name for claim in claims.values() for name in claim.columns))
    for chunk in chunks(columns):
        for claim in claims.values():
            claim.see(chunk)
    return [again(sheet) if sheet.name in claims and not claims[sheet.name].holds else sheet for sheet in sheets]


def _claim(sheet: ColumnSheet) -> "_Claim | None":
    if sheet.kind is not None:
        return None
    if sheet.why.startswith(COPY):
        return _Copy(sheet.name, sheet.why.removeprefix(COPY))
    if sheet.why == ROW_NUMBERS:
        return _RowNumbers(sheet.name)
    return _Once(sheet.name) if sheet.why.endswith(ONCE) else None


class _Claim(ABC):
    """What is said of a column, true until rows show that it is not."""

    columns: Sequence[str]

    @abstractmethod
    def see(self, chunk: pl.DataFrame) -> None:
        """Look at some rows."""

    @property
    @abstractmethod
    def holds(self) -> bool:
        """Whether it is true of the rows seen."""


@final
class _Copy(_Claim):
    def __init__(self, name: str, other: str) -> None:
        self.columns, self._same = (name, other), True

    def see(self, chunk: pl.DataFrame) -> None:
        one, other = (chunk[name] for name in self.columns)
        self._same = self._same and one.equals(other, null_equal=True)

    @property
    def holds(self) -> bool:
        return self._same


@final
class _Once(_Claim):
    def __init__(self, name: str) -> None:
        self.columns, self._hashes, self._seen = (name,), list[pl.Series](), 0

    def see(self, chunk: pl.DataFrame) -> None:
        if self._seen < MOST:
            self._hashes.append(known_of(chunk[self.columns[0]]).hash())
            self._seen += len(self._hashes[-1])

    @property
    def holds(self) -> bool:
        return not self._hashes or pl.concat(self._hashes).n_unique() == self._seen


@final
class _RowNumbers(_Claim):
    """Counting as the rows do, or an index by its name, no two of whose values are alike."""

    def __init__(self, name: str) -> None:
        self.columns, self._once, self._apart, self._whole = (name,), _Once(name), set[float](), True

    def see(self, chunk: pl.DataFrame) -> None:
        self._once.see(chunk)
        series = chunk[self.columns[0]]
        self._whole = self._whole and not series.null_count()
        if len(self._apart) < 2:
            apart = series.cast(pl.Float64) - chunk[ROW].cast(pl.Float64)
            self._apart |= {end for end in (apart.min(), apart.max()) if isinstance(end, float)}

    @property
    def holds(self) -> bool:
        return self._whole and (len(self._apart) == 1 or self._once.holds)


def repeating(sheet: ColumnSheet) -> ColumnSheet:
    """The sheet of a column whose values do repeat, if rarely."""
    return replace(sheet, kind="categorical", why="values that repeat, though rarely")
