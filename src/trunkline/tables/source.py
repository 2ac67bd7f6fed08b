"""Table files: CSV, Parquet, IPC, NDJSON and sheets, one or many, by name or by glob; tables of databases by URL."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import final

import polars as pl

from trunkline.errors import Problems, UserError
from trunkline.tables.common_types import common_types
from trunkline.tables.dialect import Dialect, read_header
from trunkline.tables.faults import fault_in
from trunkline.tables.origin import Origin, Paths, find_origins
from trunkline.tables.rows import ROW, in_file
from trunkline.tables.scanners import is_text, scanner_of, takes_types, usual_separator
from trunkline.tables.workbook import Sheet

CHUNK_BYTES = 64 << 20
"""Size of a chunk of rows in memory, about."""
MOST_NAMES = 3
"""Files that a message names, if it is about all of them."""
CHUNK_ROWS = 65_536
"""A chunk has at least so many rows, however wide: what is done once a chunk shall cost nothing."""


def scan(
    source: Paths, *, null_values: Sequence[str] = (), types: Mapping[str, pl.DataType] | None = None
) -> pl.LazyFrame:
    """Rows of one or several files, not yet read, with their numbers in column `__row__`.

    Args:
        source: a path, a glob, or several of either; the kind follows the ending: csv, tsv (also .gz, .bz2),
            parquet, ipc/arrow/feather, ndjson/jsonl, xlsx (`book.xlsx#Sheet`); or the URL of a database's table.
        null_values: texts that mean "missing" in CSV.
        types: how to read columns of a CSV or a sheet, where the training says so; otherwise the whole file decides.

    Raises:
        UserError: a missing file, a glob without a match, an unknown ending, a column twice in a header; a file that
            cannot be read; a column that is not in all files, or of several types. All of them.
    """
    files = Files(source, null_values=null_values, types=types)
    return pl.concat(files.frames).with_row_index(ROW, offset=1)


def chunks(
    source: Paths,
    *,
    null_values: Sequence[str] = (),
    types: Mapping[str, pl.DataType] | None = None,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
) -> Iterator[pl.DataFrame]:
    """The rows of `scan` in order, some at a time, with their numbers; memory does not grow with the files.

    Args:
        source: as in `scan`.
        null_values: likewise.
        types: likewise.
        columns: those to read; all by default.
        rows: of a chunk, but for the last; by default as many as make some tens of megabytes.

    Raises:
        UserError: what `scan` raises; no rows.
    """
    return Files(source, null_values=null_values, types=types).chunks(columns=columns, rows=rows)


def read(source: Paths | pl.DataFrame, *, null_values: Sequence[str] = ()) -> pl.DataFrame:
    """All rows of `scan`, or the frame itself; at least one row.

    Raises:
        UserError: what `scan` raises; a table without rows.
    """
    if not isinstance(source, pl.DataFrame):
        return Files(source, null_values=null_values).read()
    if not len(source):
        raise UserError("the table has no rows")
    return source if ROW in source.columns else source.with_row_index(ROW, offset=1)


def find_files(source: Paths) -> list[Path]:
    """The files that a path, a glob or several of either stand for; none is opened. Databases are no files.

    Raises:
        UserError: a missing file, a glob without a match; all of them.
    """
    problems = Problems()
    origins = find_origins(source, problems)
    problems.raise_if_any()
    return [one.path if isinstance(one, Sheet) else one for one in origins if isinstance(one, (Sheet, Path))]


@final
class Files:
    """One table in one or several files, or in a database, opened and not yet read.

    Args:
        source: as in `scan`.
        null_values: likewise.
        types: likewise.
        dialect: of files of text; what it leaves open is found in each.
        as_written: whether columns of a CSV that may be whole numbers with dots between thousands are left as text, for
            somebody to decide; otherwise they are read as fractions, as computers write them.

    Raises:
        UserError: a missing file, a glob without a match, an unknown ending, a column twice in a header; all of them.
    """

    def __init__(
        self,
        source: Paths,
        *,
        null_values: Sequence[str] = (),
        types: Mapping[str, pl.DataType] | None = None,
        dialect: Dialect | None = None,
        as_written: bool = False,
    ) -> None:
        names = [str(one) for one in ([source] if isinstance(source, (str, Path)) else source)]
        self.name = ", ".join(names if len(names) <= MOST_NAMES else [*names[:MOST_NAMES], f"… ({len(names)} files)"])
        problems = Problems()
        self.paths: list[Origin] = find_origins(source, problems)
        self.dialect = dialect or Dialect()
        self.by_dots: set[str] = set()
        """Columns that are left as text for their dots, once the types are known."""
        self._nulls, self._by_dots = list(null_values), self.by_dots if as_written else None
        # Beside files that have types of their own, a CSV or a sheet is read as it was in training: so that they agree.
        self._given = (types or {}) if all(map(takes_types, self.paths)) else {}
        self._scanners = []
        for path in self.paths:
            with problems.collect(), reading(path, self.dialect):
                self._scanners.append(scanner_of(path, self._nulls, self._given, self.dialect, by_dots=self._by_dots))
        problems.raise_if_any()

    @cached_property
    def frames(self) -> list[pl.LazyFrame]:
        """Each file's rows, not yet read: the same columns of the same types in the same order.

        Raises:
            UserError: a file that cannot be read; a column that is not in all files, or of several types.
        """
        problems, frames, types = Problems(), list[pl.LazyFrame](), list[dict[str, pl.DataType]]()
        for path, scanner in zip(self.paths, self._scanners, strict=True):
            with problems.collect(), reading(path, self.dialect):
                frames.append(scanner())
                types.append(dict(frames[-1].collect_schema()))
                if ROW in types[-1]:
                    problems.add(f"{path}: column {ROW!r} has the name that row numbers have here; rename it")
        problems.raise_if_any()
        if self.by_dots and len(self.paths) > 1:
            frames = self._alike(frames)
            types = [dict(frame.collect_schema()) for frame in frames]

        def valueless(i: int, column: str) -> bool:
            with reading(self.paths[i], self.dialect):
                return not frames[i].select(pl.col(column).is_not_null().any()).collect(engine="streaming").item()

        common = common_types(list(map(str, self.paths)), types, valueless)
        return [
            frame.select(
                pl.col(name) if own[name] == kind else pl.col(name).cast(kind) for name, kind in common.items()
            )
            for frame, own in zip(frames, types, strict=True)
        ]

    @property
    def left_as_text(self) -> bool:
        """Whether columns are left as text for their dots, or may be once the types are known."""
        return self._by_dots is not None and (bool(self.by_dots) or "frames" not in vars(self))

    def _alike(self, frames: list[pl.LazyFrame]) -> list[pl.LazyFrame]:
        """The frames, where a column that has dots between thousands in one file is text in all of them."""
        given = {**self._given, **dict.fromkeys(self.by_dots, pl.String())}
        again = []
        for path, frame in zip(self.paths, frames, strict=True):
            with reading(path, self.dialect):
                text = isinstance(path, Path) and is_text(path)
                again.append(scanner_of(path, self._nulls, given, self.dialect)() if text else frame)
        return again

    @property
    def types(self) -> dict[str, pl.DataType]:
        """The columns' types."""
        return dict(self.frames[0].collect_schema())

    @cached_property
    def text_dialect(self) -> Dialect | None:
        """The dialect of the first file of text, nothing left open; None where there is none."""
        for path in self.paths:
            if isinstance(path, Path) and is_text(path):
                with reading(path, self.dialect):
                    return read_header(path, self.dialect, usual=usual_separator(path)).dialect
        return None

    @property
    def separator(self) -> str | None:
        """Between the fields of the first file of text."""
        return None if self.text_dialect is None else self.text_dialect.separator

    def read(self) -> pl.DataFrame:
        """All rows, with their numbers.

        Raises:
            UserError: a file that cannot be read; no rows.
        """
        parts = []
        for path, frame in zip(self.paths, self.frames, strict=True):
            with reading(path, self.dialect):
                parts.append(frame.collect())
        whole = pl.concat(parts)
        self._require_rows(len(whole))
        return whole.with_row_index(ROW, offset=1)

    def count(self) -> int:
        """How many rows there are.

        Raises:
            UserError: a file that cannot be read; no rows.
        """
        count = 0
        for path, frame in zip(self.paths, self.frames, strict=True):
            with reading(path, self.dialect):
                count += frame.select(pl.len()).collect(engine="streaming").item()
        self._require_rows(count)
        return count

    def chunks(self, *, columns: Sequence[str] | None = None, rows: int | None = None) -> Iterator[pl.DataFrame]:
        """The rows in order, some at a time, with their numbers.

        Args:
            columns: those to read; all by default.
            rows: of a chunk, but for the last; by default as many as make some tens of megabytes.

        Raises:
            UserError: a file that cannot be read; no rows.
        """
        types = self.types
        names = list(types if columns is None else columns)
        rows = rows or chunk_rows(types[name] for name in names)
        done, held, waiting = 0, list[pl.DataFrame](), 0
        for path, frame in zip(self.paths, self.frames, strict=True):
            with reading(path, self.dialect):
                for found in frame.select(names).collect_batches(chunk_size=rows, maintain_order=True):
                    held.append(found)
                    waiting += len(found)
                    while waiting >= rows:
                        whole = pl.concat(held)
                        yield _numbered(whole[:rows], done)
                        done, held, waiting = done + rows, [whole[rows:]], waiting - rows
        if waiting:
            yield _numbered(pl.concat(held), done)
        self._require_rows(done + waiting)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Say in which file lies what is found wrong with rows inside.

        Raises:
            UserError: what was raised inside, with the name of the file, and of its row where one is named.
        """
        try:
            yield
        except UserError as error:
            raise UserError(map(self._named, error.problems)) from error

    def _named(self, problem: str) -> str:
        if any(str(path) in problem for path in self.paths):
            return problem
        if len(self.paths) == 1:
            return f"{self.name}: {problem}"
        return in_file(problem, self._place) or f"{self.name}: {problem}"

    def _place(self, row: int) -> tuple[Origin, int]:
        """The file of a row, and its number there: found out when something is wrong, and not before."""
        for path, frame in zip(self.paths[:-1], self.frames, strict=False):
            with reading(path, self.dialect):
                rows = frame.select(pl.len()).collect(engine="streaming").item()
            if row <= rows:
                return path, row
            row -= rows
        return self.paths[-1], row

    def _require_rows(self, count: int) -> None:
        if count == 0:
            raise UserError(f"{self.name} has no rows")


@contextmanager
def reading(path: Origin, dialect: Dialect) -> Iterator[None]:
    """Say which file it is that cannot be read.

    Raises:
        UserError: reading it failed inside.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, EOFError, zlib.error) as error:
        text = str(error).strip()
        why = fault_in(path, dialect) or (text.splitlines()[0] if text else type(error).__name__)
        raise UserError(f"{path} cannot be read: {why}") from error


def chunk_rows(types: Iterable[pl.DataType]) -> int:
    """Rows of a chunk with columns of these types."""
    return max(CHUNK_ROWS, CHUNK_BYTES // (sum(map(_width, types)) + 1))


def _width(kind: pl.DataType) -> int:
    """Bytes of a value in memory, about."""
    if kind.is_numeric() or kind.is_temporal() or kind == pl.Boolean:
        return 8
    return 32 if isinstance(kind, (pl.String, pl.Categorical, pl.Enum)) else 128


def _numbered(frame: pl.DataFrame, before: int) -> pl.DataFrame:
    numbers = pl.int_range(before + 1, before + 1 + len(frame), dtype=pl.Int64, eager=True)
    return frame.insert_column(0, numbers.alias(ROW))
