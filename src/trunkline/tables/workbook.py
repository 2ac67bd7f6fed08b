"""Workbooks: one sheet of an `.xlsx` file as a table."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

import polars as pl

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.tables.number_format import MARKS
from trunkline.tables.packed import COMPRESSED, unpacked

ENDING = ".xlsx"
EXACT = 2**53
"""Whole numbers beyond it are not exact in a workbook, which has no numbers but floating ones."""
_MOMENT = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
"""As the reader writes a date in a column of several types."""
_ISO = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f")
_MARKED = "%Y-%m-%d %H:%M:%S%.3f"
_UNLIKE = re.compile(r"unsupported column type combination: \{(.*?)\}.*for column (.*)", re.S)


@final
@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook.

    Attributes:
        path: the file.
        asked: the sheet's name; None where the workbook has but one.
    """

    path: Path
    asked: str | None = None

    def __str__(self) -> str:
        """As a config names it."""
        return str(self.path) if self.asked is None else f"{self.path}#{self.asked}"

    def check(self) -> None:
        """Look whether there is such a sheet.

        Raises:
            UserError: no workbook, no such sheet, several where none is named; the extra is not installed.
        """
        self._find(self._open())

    def scan(self, types: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        """The rows below the header, which is the first row in use; formulas come as their values.

        Whole numbers, fractions, dates and booleans have their types where all cells of a column do; a column of
        several is text, and one of numbers and words that say "missing" (`n/a`), as in a CSV; dates stand beside dates
        in ISO text alone. Cells with errors (`#N/A`) are missing. A workbook is read whole.

        Args:
            types: columns that are to be text, whatever their cells are.

        Raises:
            UserError: what `check` raises; no header, a column without a name, or a name twice; dates beside
                what is none.
        """
        book = self._open()
        sheet = self._find(book)
        with self._reading():
            top = book.load_sheet(sheet, header_row=None, n_rows=1, dtypes="string").to_polars()
            if not len(top):
                raise UserError(f"{self} is empty; a header row with the columns' names is needed")
            names = [(name or "").strip() for name in top.row(0)]
            texts: Any = {i: "string" for i, name in enumerate(names) if types.get(name) == pl.String}
            found = book.load_sheet(sheet, header_row=0, schema_sample_rows=None, dtypes=texts or None).to_polars()
            found = _with_words(book, sheet, found)
            problems, columns = Problems(), list[pl.Series]()
            for i, name in enumerate(names):
                with problems.collect():
                    cells = found.to_series(i)
                    columns.append(_column(cells if i in texts else self._with_moments(book, cells, i, name), name))
            problems.raise_if_any()
        kept = [one for one in columns if one.name or one.null_count() < len(one)]
        self._check_names([one.name for one in kept])
        # A row that once held something, or that has a colour, is no row of the table's end.
        frame = pl.DataFrame({one.name: one for one in kept})
        filled = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
        return frame.head(int(filled[-1]) + 1 if len(filled) else 0).lazy()

    def _check_names(self, names: list[str]) -> None:
        if names.count("") > 1:
            raise UserError(
                f"{self}: {names.count('')} columns have no name in the first row; write the columns' names there, "
                "and nothing above them"
            )
        if "" in names[1:]:  # the first one may be an index, as pandas writes it
            raise UserError(
                f"{self}: the column behind {names[names.index('') - 1]!r} has no name in the first row; write one "
                "there (cells that are merged name but the first of their columns), or empty the column"
            )
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UserError(f"{self}: column {', '.join(map(repr, twice))} stands more than once in the header")

    def _with_moments(self, book: Any, cells: pl.Series, place: int, name: str) -> pl.Series:
        """The cells of a column, as moments where some are dates and the others are dates in ISO text.

        Beside words that say "missing" they stay text, with one spelling.

        Raises:
            UserError: dates, and beside them numbers or other text: as text one moment would be written in two ways.
        """
        if cells.dtype != pl.String or not cells.str.contains(_MOMENT).any():
            return cells
        alone: dict[str, Any] = {"header_row": 0, "use_columns": [place]}
        sheet = self._find(book)
        moments, numbers = (
            book.load_sheet(sheet, **alone, dtypes={place: kind}).to_polars().to_series(0)
            for kind in ("datetime", "float")
        )
        dated = moments.is_not_null() & numbers.is_null()  # a number is a moment too, where one is asked for
        if not dated.any():
            return cells
        text = cells.str.strip_chars()
        written = pl.select(
            pl.coalesce(text.str.to_datetime(form, strict=False, time_unit="ms") for form in _ISO)
        ).to_series()
        marks = text.str.to_lowercase().is_in(MARKS).fill_null(False)
        other = (text.fill_null("") != "") & ~dated & written.is_null() & ~marks
        if other.any():
            row = int(other.arg_true()[0])
            raise UserError(
                f"{self}: column {name!r} holds dates, and {other.sum()} other cells: {cells[row]!r} in row {row + 1}; "
                "give all of them the format of a date, write dates as 2024-12-31 or 2024-12-31 23:59, empty the cells "
                "that have none, or make text of them all"
            )
        found: pl.Series = moments.cast(pl.Datetime("ms")).zip_with(dated, written)
        # Words that say "missing" are seen and named where text is read; every moment beside them has one spelling.
        return found.dt.strftime(_MARKED).zip_with(~marks, text) if marks.any() else found

    def _open(self) -> Any:
        if find_spec("fastexcel") is None:
            raise UserError(f"{self}: workbooks need fastexcel; pip install 'trunkline[excel]'")
        import fastexcel

        with self._reading():
            return fastexcel.read_excel(unpacked(self.path) if self.path.suffix.lower() in COMPRESSED else self.path)

    def _find(self, book: Any) -> str:
        names: list[str] = list(book.sheet_names)
        if self.asked is None:
            if len(names) != 1:
                raise UserError(f"{self.path} has the sheets {_listed(names)}; name one: {self.path}#{names[0]}")
            return names[0]
        if self.asked not in names:
            raise UserError(
                f"{self.path} has no sheet {self.asked!r}{did_you_mean(self.asked, names)} (there: {_listed(names)})"
            )
        return self.asked

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Say which workbook it is that cannot be read.

        Raises:
            UserError: reading it failed inside.
        """
        import fastexcel

        log = logging.getLogger("fastexcel")
        level = log.level
        log.setLevel(logging.ERROR)  # it tells of every empty column
        try:
            yield
        except (fastexcel.FastExcelError, OSError, pl.exceptions.PolarsError) as error:
            why = str(error).strip().splitlines()
            if mixed := _UNLIKE.search(str(error)):
                raise UserError(
                    f"{self}: column {mixed[2].strip()!r} holds cells of unlike sorts ({mixed[1]}); give all one"
                ) from error
            raise UserError(f"{self} cannot be read: {why[0] if why else type(error).__name__}") from error
        finally:
            log.setLevel(level)


def _with_words(book: Any, sheet: str, found: pl.DataFrame) -> pl.DataFrame:
    """The cells, where columns of which the reader took words (`n/a`, `NULL`, `NaN`) for empty ones are text."""
    holed = [
        i
        for i, series in enumerate(found)
        if series.dtype != pl.String and (series.null_count() or (series.dtype.is_float() and series.is_nan().any()))
    ]
    if not holed:
        return found
    texts = book.load_sheet(
        sheet, header_row=0, schema_sample_rows=None, use_columns=holed, dtypes="string"
    ).to_polars()
    for i, text in zip(holed, texts, strict=True):
        typed = found.to_series(i)
        absent = typed.fill_nan(None).is_null() if typed.dtype.is_float() else typed.is_null()
        if bool((absent & text.is_not_null() & (text != "")).any()):
            found = found.with_columns(text.alias(typed.name))
    return found


def _column(series: pl.Series, name: str) -> pl.Series:
    """The column, with the type that its values have and a workbook has not: whole numbers, times of day."""
    if series.dtype == pl.String:
        series = series.set((series == "").fill_null(False), None)
    elif series.dtype == pl.Float64:
        known = series.drop_nulls()
        if len(known) and bool((known.is_finite() & (known == known.floor()) & (known.abs() <= EXACT)).all()):
            series = series.cast(pl.Int64)
    elif isinstance(series.dtype, pl.Datetime):
        # Days are counted from 1900 on: what lies on the days before is a time of day.
        if bool((series.dt.year() < 1900).all()) and series.null_count() < len(series):
            series = series.dt.time()
        elif bool((series == series.dt.truncate("1d")).all()):
            series = series.cast(pl.Date)
    return series.alias(name)


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")
