"""Locating faults in a file of text: it is read once more, slowly, after a quick reader gave up."""

import csv
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from trunkline.errors import UserError
from trunkline.tables.dialect import Dialect, decoded, name_encoding, read_header
from trunkline.tables.origin import Origin, kind_of
from trunkline.tables.packed import open_packed
from trunkline.tables.scanners import NDJSON, is_text, usual_separator

_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


def fault_in(path: Origin, dialect: Dialect) -> str | None:
    """The first row that cannot be read and why; None where nothing is found, or it is no file of text."""
    if not isinstance(path, Path):
        return None
    try:
        if is_text(path):
            return _fault_in_csv(path, read_header(path, dialect, usual=usual_separator(path)).dialect)
        return _fault_in_ndjson(path) if kind_of(path) in NDJSON else None
    except (OSError, EOFError, zlib.error, UserError):  # then the reader has said it
        return None


def _fault_in_csv(path: Path, dialect: Dialect) -> str | None:
    separator = dialect.separator or ","
    quoting = f"quote what holds {_NAMES.get(separator, repr(separator))}"
    header: list[str] = []
    row = -1
    with _fields_of_any_length():
        reader = csv.reader(decoded(path, dialect), delimiter=separator, quotechar=dialect.quote, strict=True)
        try:
            for row, fields in enumerate(reader):
                header = header or fields
                if len(fields) > len(header):
                    return f"row {row} has {len(fields)} fields and the header {len(header)}; {quoting}"
        except UnicodeDecodeError as error:
            line = error.object.decode("utf-8", "replace").rstrip("\r\n")
            places = [i for i, text in enumerate(line.split(separator)) if "\ufffd" in text]
            column = f"column {header[places[0]]!r} in " if places and places[0] < len(header) else ""
            return (
                f"{column}row {row + 1} is no text in UTF-8 ({line[:60]!r}); {name_encoding(path)}, or save it in UTF-8"
            )
        except csv.Error as error:
            why = "a quote that opens there is not closed" if "end of data" in str(error) else str(error)
            return f"row {row + 1}: {why}; double the quotes inside a quoted field, and close it"
    return None


def _fault_in_ndjson(path: Path) -> str | None:
    with open_packed(path) as file:
        for row, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
            except UnicodeDecodeError:
                return f"row {row} is no text in UTF-8 ({line[:40]!r}); save the file in UTF-8"
            except (ValueError, RecursionError) as error:
                return f"row {row} is no JSON object: {error}"
            if not isinstance(value, dict):
                shown = line[:40].decode("utf-8", "replace").strip()
                return f"row {row} is no JSON object ({shown!r}); write one a line"
    return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON; write null where the value is missing")


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
