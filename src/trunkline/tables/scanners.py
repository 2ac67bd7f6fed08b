"""Scanning one file, by its ending."""

import atexit
import bz2
import csv
import gzip
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from glob import escape
from itertools import chain
from pathlib import Path
from typing import IO, cast

import polars as pl

from trunkline.errors import UserError
from trunkline.tables.rows import ROW

CSV, TSV = (".csv",), (".tsv",)
PARQUET, IPC, NDJSON = (".parquet", ".pq"), (".ipc", ".arrow", ".feather"), (".ndjson", ".jsonl")
COMPRESSED = (".gz", ".bz2")
LONGEST = 1 << 24
"""Bytes of a line that can be a header: without an end, a file that is no text would be one line."""
SAMPLE = 10_000
"""Rows of a CSV from which its types are guessed, before they are held against all of it: polars takes fifty times as
long to look at a row for types as to read it."""


def scanner_of(path: Path, null_values: list[str], types: Mapping[str, pl.DataType]) -> Callable[[], pl.LazyFrame]:
    """How to scan a file, once its types are needed; text is gone through for them, once.

    Raises:
        UserError: an unknown ending, or a header that is empty or holds a column twice.
    """
    kind = kind_of(path)
    if kind in (*CSV, *TSV):
        separator = "\t" if kind in TSV else ","
        header = _check_header(path, separator)
        overrides = {name: dtype for name, dtype in types.items() if name in header}
        return lambda: _scan_csv(path, separator, null_values, overrides)
    scanners: dict[tuple[str, ...], Callable[[Path], pl.LazyFrame]] = {
        PARQUET: lambda p: pl.scan_parquet(p, glob=False),
        IPC: lambda p: pl.scan_ipc(p, glob=False),
        NDJSON: _scan_ndjson,
    }
    for endings, scanner in scanners.items():
        if kind in endings:
            return lambda: scanner(_unpacked(path) if path.suffix.lower() in COMPRESSED else path)
    known = ", ".join((*CSV, *TSV, *PARQUET, *IPC, *NDJSON))
    raise UserError(f"{path}: the ending {path.suffix or '(none)'} is unknown; known: {known} (CSV also .gz, .bz2)")


def kind_of(path: Path) -> str:
    """The ending that tells what a file holds, in lower case; empty where there is none."""
    return next((s for s in map(str.lower, reversed(path.suffixes)) if s not in COMPRESSED), "")


def is_text(path: Path) -> bool:
    """Whether a file holds rows without types."""
    return kind_of(path) in (*CSV, *TSV)


def _scan_csv(path: Path, separator: str, null_values: list[str], overrides: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    plain = _unpacked(path) if path.suffix.lower() == ".bz2" else path

    def scan(schema: pl.Schema | None = None, *, look_at: int | None = None) -> pl.LazyFrame:
        return pl.scan_csv(
            plain,
            glob=False,
            separator=separator,
            # an empty field in quotes, as many exporters write it, is missing like any other empty field
            null_values=["", *null_values],
            try_parse_dates=True,
            infer_schema_length=look_at,
            schema_overrides=overrides if schema is None else None,
            schema=schema,
        )

    guess = scan(look_at=SAMPLE).collect_schema()
    return scan(guess if _holds(scan, guess, overrides) else _readable(scan, scan().collect_schema()))


def _holds(scan: Callable[..., pl.LazyFrame], guess: pl.Schema, overrides: Mapping[str, pl.DataType]) -> bool:
    """Whether types that the first rows of a CSV suggest are those of the whole file.

    Later rows can only widen a type, and what is wider cannot be read as what was guessed. Where it could, as a time of
    an unknown form or a text of which no row was seen, missing values tell.
    """
    sample = scan(guess).head(SAMPLE).select(pl.all().is_not_null().any())
    try:
        seen = sample.collect().row(0, named=True)
        missing = scan(guess).select(pl.all().null_count(), pl.len().alias(ROW)).collect(engine="streaming")
    except pl.exceptions.PolarsError:
        return False  # or it cannot be read at all, as looking at all of it will tell
    nulls = missing.row(0, named=True)
    for name, kind in guess.items():
        if name not in overrides and kind == pl.String and not seen[name] and nulls[name] < nulls[ROW]:
            return False
    times = [name for name, kind in guess.items() if kind.is_temporal()]
    if not times:
        return True
    texts = pl.Schema({name: pl.String() if name in times else kind for name, kind in guess.items()})
    as_text = scan(texts).select(pl.col(times).null_count()).collect(engine="streaming").row(0, named=True)
    return all(nulls[name] == as_text[name] for name in times)


def _readable(scan: Callable[..., pl.LazyFrame], types: pl.Schema) -> pl.Schema:
    """The types with which all of a CSV can be read: text, where a value only looks like a number.

    Digits of any script look so to the guess. To read every column also finds the rows that have too many fields,
    which nobody notices who reads some columns.
    """
    everything = pl.all().null_count()
    try:
        scan(types).select(everything).collect(engine="streaming")
        return types
    except pl.exceptions.PolarsError:
        texts = scan(pl.Schema(dict.fromkeys(types, pl.String())))
        unlike = [
            (pl.col(name).is_not_null() & pl.col(name).cast(kind, strict=False).is_null()).any()
            for name, kind in types.items()
            if kind.is_numeric()
        ]
        found = texts.select(pl.len().alias(ROW), *unlike).collect(engine="streaming").row(0, named=True)
        types = pl.Schema({name: pl.String() if found.get(name) else kind for name, kind in types.items()})
        scan(types).select(everything).collect(engine="streaming")
        return types


def _scan_ndjson(path: Path) -> pl.LazyFrame:
    schema = pl.scan_ndjson(escape(str(path)), infer_schema_length=None).collect_schema()
    return pl.scan_ndjson(escape(str(path)), schema=schema)


def _check_header(path: Path, separator: str) -> list[str]:
    with open_packed(path) as file:
        first = file.readline(LONGEST)
        if not first:
            raise UserError(f"{path} is empty; a header line with the columns' names is needed")
        lines = chain([first], iter(lambda: file.readline(LONGEST), b""))
        header = _read_header(path, lines, separator)
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise UserError(f"{path}: column {', '.join(map(repr, twice))} stands more than once in the header")
    if not header:
        raise UserError(f"{path} begins with an empty line; a header line with the columns' names is needed there")
    return header


def _read_header(path: Path, lines: Iterator[bytes], separator: str) -> list[str]:
    """The first record of a CSV.

    Raises:
        UserError: it is no text in UTF-8, or no record.
    """
    try:
        header = next(csv.reader((line.decode("utf-8-sig") for line in lines), delimiter=separator, strict=True), [])
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: its header is no text in UTF-8 ({error.object[:40]!r}); save it as CSV in UTF-8, or give it the "
            "ending of what it is"
        ) from None
    except csv.Error as error:
        why = "its lines end in CR alone; write them with LF" if "new-line" in str(error) else f"its header: {error}"
        raise UserError(f"{path} cannot be read: {why}") from None
    if any("\0" in name for name in header):
        raise UserError(f"{path}: its header holds NUL bytes, as UTF-16 and binary files do; save it as CSV in UTF-8")
    return header


def open_packed(path: Path) -> IO[bytes]:
    """The bytes of a file, without its compression."""
    packed = path.suffix.lower()
    if packed == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return cast("IO[bytes]", bz2.open(path, "rb")) if packed == ".bz2" else path.open("rb")


def _unpacked(path: Path) -> Path:
    """The file without its compression, in a folder that goes away with the process."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with open_packed(path) as packed, (folder / path.stem).open("wb") as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
    return folder / path.stem
