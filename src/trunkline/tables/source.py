"""Files of rows: CSV, Parquet, IPC and NDJSON, one or many, by name or by glob."""

import atexit
import bz2
import csv
import gzip
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from glob import escape, glob, has_magic
from pathlib import Path
from typing import IO, cast

import polars as pl

from trunkline.errors import Problems, UserError
from trunkline.tables.rows import ROW

CSV, TSV = (".csv",), (".tsv",)
PARQUET, IPC, NDJSON = (".parquet", ".pq"), (".ipc", ".arrow", ".feather"), (".ndjson", ".jsonl")
COMPRESSED = (".gz", ".bz2")


def scan(
    source: str | Path | Sequence[str | Path],
    *,
    null_values: Sequence[str] = (),
    types: Mapping[str, pl.DataType] | None = None,
) -> pl.LazyFrame:
    """Rows of one or several files, not yet read, with their numbers in column `__row__`.

    Args:
        source: a path, a glob, or several of either; the kind follows the ending: csv, tsv (also .gz, .bz2),
            parquet, ipc/arrow/feather, ndjson/jsonl.
        null_values: texts that mean "missing" in CSV.
        types: how to read columns of a CSV, where the training says so; otherwise the whole file decides.

    Raises:
        UserError: a missing file, a glob without a match, an unknown ending, a column twice in a header; a file that
            cannot be read. All of them.
    """
    problems, frames = Problems(), []
    for path in _paths(source, problems):
        try:
            frames.append(_scan_one(path, list(null_values), types or {}))
        except UserError as error:
            problems.add(str(error))
        except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error) as error:
            problems.add(f"{path} cannot be read: {_first_line(error)}")
    problems.raise_if_any()
    frame = frames[0] if len(frames) == 1 else pl.concat(frames, how="vertical_relaxed")
    return frame.with_row_index(ROW, offset=1)


def read(source: str | Path | Sequence[str | Path] | pl.DataFrame, *, null_values: Sequence[str] = ()) -> pl.DataFrame:
    """All rows of `scan`, or the frame itself; at least one row.

    Raises:
        UserError: what `scan` raises; files whose columns differ; a table without rows.
    """
    if isinstance(source, pl.DataFrame):
        frame, name = source if ROW in source.columns else source.with_row_index(ROW, offset=1), "the table"
    else:
        name = ", ".join(map(str, [source] if isinstance(source, (str, Path)) else source))
        try:
            frame = scan(source, null_values=null_values).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UserError(f"{name} cannot be read: {_first_line(error)}") from error
    if not len(frame):
        raise UserError(f"{name} has no rows")
    return frame


def _paths(source: str | Path | Sequence[str | Path], problems: Problems) -> list[Path]:
    paths: list[Path] = []
    for one in [source] if isinstance(source, (str, Path)) else source:
        if Path(one).is_file():
            paths.append(Path(one))
        elif has_magic(str(one)):
            found = sorted(glob(str(one), recursive=True))
            paths += map(Path, found)
            if not found:
                problems.add(f"no file matches {one}")
        elif Path(one).is_dir():
            problems.add(f"{one} is a folder; name its files, for example {Path(one) / '*.parquet'}")
        else:
            problems.add(f"file {one} does not exist")
    return paths


def _scan_one(path: Path, null_values: list[str], types: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSED), "")
    if kind in (*CSV, *TSV):
        separator = "\t" if kind in TSV else ","
        header = _check_header(path, separator)
        plain = _unpacked(path) if suffixes[-1] == ".bz2" else path
        return pl.scan_csv(
            plain,
            glob=False,
            separator=separator,
            # an empty field in quotes, as many exporters write it, is missing like any other empty field
            null_values=["", *null_values],
            try_parse_dates=True,
            infer_schema_length=None,
            schema_overrides={name: dtype for name, dtype in types.items() if name in header},
        )
    scanners: dict[tuple[str, ...], Callable[[Path], pl.LazyFrame]] = {
        PARQUET: lambda p: pl.scan_parquet(p, glob=False),
        IPC: lambda p: pl.scan_ipc(p, glob=False),
        NDJSON: lambda p: pl.scan_ndjson(escape(str(p)), infer_schema_length=None),
    }
    for endings, scanner in scanners.items():
        if kind in endings:
            frame = scanner(_unpacked(path) if suffixes[-1] in COMPRESSED else path)
            frame.collect_schema()
            return frame
    known = ", ".join((*CSV, *TSV, *PARQUET, *IPC, *NDJSON))
    raise UserError(f"{path}: the ending {path.suffix or '(none)'} is unknown; known: {known} (CSV also .gz, .bz2)")


def _check_header(path: Path, separator: str) -> list[str]:
    with _open(path) as file:
        header = next(csv.reader((line.decode("utf-8-sig", "replace") for line in file), delimiter=separator), [])
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise UserError(f"{path}: column {', '.join(map(repr, twice))} stands more than once in the header")
    if not header:
        raise UserError(f"{path} is empty; a header line with the columns' names is needed")
    return header


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return cast("IO[bytes]", bz2.open(path, "rb")) if path.suffix == ".bz2" else path.open("rb")


def _unpacked(path: Path) -> Path:
    """The file without its compression, in a folder that goes away with the process."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with _open(path) as packed, (folder / path.stem).open("wb") as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
    return folder / path.stem


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
