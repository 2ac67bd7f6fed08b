"""Origins: where the rows of a table come from, by name."""

import re
from collections.abc import Sequence
from glob import glob, has_magic
from os.path import exists, isdir, isfile
from pathlib import Path

from trunkline.errors import Problems
from trunkline.tables.database import DatabaseTable, is_url
from trunkline.tables.packed import COMPRESSED
from trunkline.tables.workbook import ENDING, Sheet

Paths = str | Path | Sequence[str | Path]
Origin = Path | Sheet | DatabaseTable
"""A file, a sheet of one, or a table of a database."""
_IN_BOOK = re.compile(rf"(.+{re.escape(ENDING)}(?:{'|'.join(map(re.escape, COMPRESSED))})?)#(.+)", re.I | re.DOTALL)


def find_origins(source: Paths, problems: Problems) -> list[Origin]:
    """What a name, a glob or several of either stand for; nothing is opened.

    Args:
        source: paths and globs, of a workbook with the name of a sheet behind `#`; URLs of tables.
        problems: what is wrong with them goes there.
    """
    origins: list[Origin] = []
    for one in [source] if isinstance(source, (str, Path)) else source:
        if isinstance(one, str) and is_url(one):
            with problems.collect():
                origins.append(DatabaseTable(one))
            continue
        found, sheet = [str(one)], None
        if not exists(one) and (within := _IN_BOOK.fullmatch(found[0])):
            found, sheet = [within[1]], within[2]
        if has_magic(found[0]) and not exists(found[0]):
            found = sorted(glob(found[0], recursive=True))
            if not found:
                problems.add(f"no file matches {one}")
        for name in found:
            # `exists` and its like say no to a name that no file can have, which `Path` raises an error for
            if isfile(name):
                origins.append(Sheet(Path(name), sheet) if kind_of(Path(name)) == ENDING else Path(name))
            elif isdir(name):
                problems.add(f"{name} is a folder; name its files, for example {Path(name) / '*.parquet'}")
            elif exists(name):
                problems.add(f"{name} is a pipe or a device; write the rows into a file and name that")
            else:
                problems.add(f"file {name or repr(name)} does not exist")
    return origins


def kind_of(path: Path) -> str:
    """The ending that tells what a file holds, in lower case; empty where there is none."""
    return next((s for s in map(str.lower, reversed(path.suffixes)) if s not in COMPRESSED), "")


def databases(source: Paths | None) -> list[str]:
    """The tables of databases that a source names."""
    names = [] if source is None else [source] if isinstance(source, (str, Path)) else source
    return [name for name in names if isinstance(name, str) and is_url(name)]
