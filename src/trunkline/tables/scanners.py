"""Scanning one file, by its ending."""

from collections.abc import Callable, Collection, Mapping
from glob import escape
from pathlib import Path

import polars as pl

from trunkline.errors import UserError
from trunkline.tables.database import DatabaseTable, named_by_url
from trunkline.tables.dialect import Dialect, Header, read_header
from trunkline.tables.number_format import whole_by_dots
from trunkline.tables.origin import Origin, kind_of
from trunkline.tables.packed import COMPRESSED, in_utf8, unpacked
from trunkline.tables.rows import ROW
from trunkline.tables.workbook import ENDING, Sheet

CSV, TSV = (".csv",), (".tsv",)
PARQUET, IPC, NDJSON = (".parquet", ".pq"), (".ipc", ".arrow", ".feather"), (".ndjson", ".jsonl")
TABLES = (*CSV, *TSV, *PARQUET, *IPC, *NDJSON, ENDING)
"""Endings of files that hold tables."""
SAMPLE = 10_000
"""Rows of a CSV from which its types are guessed, before they are held against all of it: polars takes fifty times as
long to look at a row for types as to read it."""


def scanner_of(
    path: Origin,
    null_values: list[str],
    types: Mapping[str, pl.DataType],
    dialect: Dialect,
    *,
    by_dots: set[str] | None = None,
) -> Callable[[], pl.LazyFrame]:
    """How to scan a file or another origin, once its types are needed; text is gone through for them, once.

    Args:
        path: the file, sheet or table.
        null_values: words that mean "missing" in a CSV.
        types: of columns of a CSV or a sheet that are known.
        dialect: of a CSV.
        by_dots: gets the names of columns of a CSV that may be whole numbers with dots between thousands, which are
            then left as text; None to read them as computers write fractions.

    Raises:
        UserError: an unknown ending; a header of a CSV that is empty or holds a column twice; a workbook without that
            sheet; a database that cannot be asked.
    """
    if isinstance(path, Sheet):
        path.check()
        return lambda: path.scan(types)
    if isinstance(path, DatabaseTable):
        path.check()
        return path.scan
    kind = kind_of(path)
    if kind in (*CSV, *TSV):
        header = read_header(path, dialect, usual=usual_separator(path))
        overrides = {name: dtype for name, dtype in types.items() if name in header.names}
        return lambda: _scan_csv(path, header, null_values, overrides, by_dots)
    scanners: dict[tuple[str, ...], Callable[[Path], pl.LazyFrame]] = {
        PARQUET: lambda p: pl.scan_parquet(p, glob=False),
        IPC: lambda p: pl.scan_ipc(p, glob=False),
        NDJSON: _scan_ndjson,
    }
    for endings, scanner in scanners.items():
        if kind in endings:
            return lambda: scanner(unpacked(path) if path.suffix.lower() in COMPRESSED else path)
    if (url := named_by_url(path)) is not None:
        raise UserError(f"{path} is a database of SQLite; name one of its tables: {url}")
    known = ", ".join(TABLES)
    raise UserError(f"{path}: the ending {path.suffix or '(none)'} is unknown; known: {known} (CSV also .gz, .bz2)")


def usual_separator(path: Path) -> str:
    """The separator that a file's ending promises."""
    return "\t" if kind_of(path) in TSV else ","


def is_text(path: Origin) -> bool:
    """Whether it is a file of text, which holds rows without types."""
    return isinstance(path, Path) and kind_of(path) in (*CSV, *TSV)


def takes_types(path: Origin) -> bool:
    """Whether cells can be had as text, whatever they look like."""
    return isinstance(path, Sheet) or is_text(path)


def _scan_csv(
    path: Path,
    header: Header,
    null_values: list[str],
    overrides: Mapping[str, pl.DataType],
    by_dots: set[str] | None,
) -> pl.LazyFrame:
    dialect, plain = header.dialect, path
    if not dialect.utf8:
        plain = in_utf8(path, dialect.encoding or "utf-8")
    elif path.suffix.lower() == ".bz2":
        plain = unpacked(path)

    def scan(schema: pl.Schema | None = None, *, look_at: int | None = None, text: bool = False) -> pl.LazyFrame:
        return pl.scan_csv(
            plain,
            glob=False,
            separator=dialect.separator or ",",
            quote_char=dialect.quote,
            # an empty field in quotes, as many exporters write it, is missing like any other empty field
            null_values=["", *null_values],
            try_parse_dates=not text,
            infer_schema=not text,
            infer_schema_length=0 if text else look_at,
            schema_overrides=own if schema is None and not text else None,
            schema=schema,
        )

    # polars takes the names of columns as they are written, their doubled quotes too
    texts = scan(text=True)
    written = list(texts.collect_schema())
    names = dict(zip(written, header.names, strict=len(written) == len(header.names)))
    own = {name: overrides[real] for name, real in names.items() if real in overrides}
    guess = scan(look_at=SAMPLE).collect_schema()
    codes = _codes(texts, {name: kind for name, kind in guess.items() if name not in own})
    own |= dict.fromkeys(codes, pl.String())
    if by_dots is not None:
        dotted = _by_dots(texts.head(SAMPLE), [name for name, kind in guess.items() if kind.is_float()], but=own)
        own |= dict.fromkeys(dotted, pl.String())
    guess = pl.Schema({name: own.get(name, kind) for name, kind in guess.items()})
    if _holds(scan, guess, own):
        types = guess
    else:
        wide = scan().collect_schema()
        types = _readable(scan, pl.Schema({name: own.get(name, kind) for name, kind in wide.items()}))
        if by_dots is not None:  # a dot may stand in later rows only
            later = _by_dots(texts, [name for name, kind in types.items() if kind.is_float()], but=own)
            types = pl.Schema({name: pl.String() if name in later else kind for name, kind in types.items()})
            dotted += later
    if by_dots is not None:
        by_dots |= {names[name] for name in dotted}
    frame = scan(types)
    return frame if list(names) == list(names.values()) else frame.rename(names)


def _codes(texts: pl.LazyFrame, types: Mapping[str, pl.DataType]) -> list[str]:
    """Columns that look like numbers or dates and are text, by their first rows.

    Numbers that begin with 0 (`007` is not `7`), or of more digits than 64 bits hold; dates whose order of day and
    month nobody wrote down.
    """
    numbers = [name for name, kind in types.items() if kind.is_numeric()]
    times = [name for name, kind in types.items() if isinstance(kind, (pl.Date, pl.Datetime))]
    if not numbers and not times:
        return []
    code, long = r"^\s*[+-]?0\d+\s*$", r"^\s*[+-]?(0\d+|\d{17,})\s*$"  # a float holds 16 digits
    shown = texts.head(SAMPLE).select(
        *(pl.col(name).str.contains(long if types[name].is_float() else code).any() for name in numbers),
        *((~pl.col(name).str.contains(r"^\s*\d{4}-")).any() for name in times),
    )
    try:
        found = shown.collect().row(0, named=True)
    except pl.exceptions.PolarsError:
        return []  # a row is broken, as looking at all of them will tell
    return [name for name, text in found.items() if text]


def _by_dots(texts: pl.LazyFrame, columns: Collection[str], *, but: Collection[str]) -> list[str]:
    """Columns that may be whole numbers with dots between thousands."""
    asked = [name for name in columns if name not in but]
    try:
        found = (
            texts.select(whole_by_dots(pl.col(name)) for name in asked).collect(engine="streaming") if asked else None
        )
    except pl.exceptions.PolarsError:
        return []  # a row is broken, as looking at all of them will tell
    return [] if found is None else [name for name, yes in found.row(0, named=True).items() if yes]


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
