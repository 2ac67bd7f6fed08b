"""File fingerprints: what tells one state of a file from another without reading all of it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from trunkline.errors import Problems, UserError
from trunkline.tables.database import DatabaseTable
from trunkline.tables.origin import Origin
from trunkline.tables.workbook import Sheet

Fingerprint = dict[str, Any]
SAMPLE = 1 << 20
"""Bytes at the start and at the end of a file that are looked at."""
PIECES = 16
"""Evenly spaced places between them."""


def fingerprint(paths: Sequence[Origin]) -> list[Fingerprint]:
    """Path, size, time of change and a hash of samples of each file; URL, rows and a hash of all of a database's table.

    Small files are hashed whole; of a long list of files, less of each.

    Raises:
        UserError: a file that is gone or cannot be read; all of them.
    """
    problems, found = Problems(), []
    sample = max(SAMPLE // max(1, len(paths) // PIECES), SAMPLE // PIECES)
    for origin in paths:
        if isinstance(origin, DatabaseTable):
            with problems.collect():
                found.append({"path": str(origin), "size": len(origin.rows), "content": origin.content})
            continue
        path = origin.path if isinstance(origin, Sheet) else origin
        try:
            before = path.stat()
            facts = {
                "path": str(path.resolve()),
                "size": before.st_size,
                "mtime_ns": before.st_mtime_ns,
                "content": _content(path, before.st_size, sample),
            }
            found.append(facts | {"sheet": origin.asked} if isinstance(origin, Sheet) else facts)
        except OSError as error:
            problems.add(f"{path} cannot be read: {error.strerror or error}")
    problems.raise_if_any()
    return found


def refuse_changed(paths: Sequence[Origin], before: Sequence[Fingerprint]) -> None:
    """Make sure that files are as they were when they were opened.

    Raises:
        UserError: files that changed meanwhile; all of them.
    """
    after = fingerprint(paths)
    changed = [path for path, one, other in zip(paths, before, after, strict=True) if one != other]
    if changed:
        raise UserError(
            f"{path} changed while it was being read; nothing of it is kept: start again when it is complete"
            for path in changed
        )


@contextmanager
def unchanged(paths: Sequence[Origin], before: Sequence[Fingerprint]) -> Iterator[None]:
    """Make sure that files still are as they were when they were opened, once what is done here is done.

    Raises:
        UserError: they are not; that is said rather than what came of it.
    """
    try:
        yield
    except UserError:
        refuse_changed(paths, before)
        raise
    refuse_changed(paths, before)


def key_of(facts: Any) -> str:
    """A name that stands for these facts, and for the code that makes of them what lies under that name."""
    text = json.dumps([facts, _code()], sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def _code() -> str:
    """Of the modules that decide what becomes of a row: another version of them encodes anew."""
    here = Path(__file__).parent
    digest = hashlib.blake2b(pl.__version__.encode(), digest_size=16)
    for path in sorted([*here.rglob("*.py"), *(here.parent / "tasks").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _content(path: Path, size: int, sample: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for start, length in _samples(size, sample):
            file.seek(start)
            digest.update(file.read(length))
    return digest.hexdigest()


def _samples(size: int, sample: int) -> Iterable[tuple[int, int]]:
    if size <= 4 * sample:
        return [(0, size)]
    piece = sample // PIECES
    step = (size - 2 * sample - piece) // (PIECES - 1)
    middle = [(sample + i * step, piece) for i in range(PIECES)]
    return [(0, sample), *middle, (size - sample, sample)]
