"""Atomic writing of tables, so that a reader never meets half a file."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl

from trunkline.errors import Problems, UserError


@contextmanager
def workplace(directory: Path) -> Iterator[Path]:
    """A temporary folder inside `directory`, so that a finished file can be moved in one step.

    Args:
        directory: made if need be, and removed again if the work fails.

    Raises:
        UserError: if nothing can be written there, or the work meets an error of the operating system.
    """
    made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        room = tempfile.TemporaryDirectory(prefix=".unfinished-", dir=directory)
    except OSError as error:
        raise UserError(f"cannot write into {directory} ({error.strerror}); name another folder") from error
    try:
        with room as work:
            yield Path(work)
    except BaseException as error:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise UserError(f"{directory} could not be filled ({error})") from error
        raise


def publish(tables: Mapping[str, pl.DataFrame], directory: Path, work: Path, *, overwrite: bool) -> dict[str, Path]:
    """Write each table as `<split>.parquet`, all of them whole before the first is moved into place.

    Args:
        tables: a table a split.
        directory: where the files are to be.
        work: a folder on the same file system.
        overwrite: replace files that hold something else.

    Raises:
        UserError: naming every file that would be replaced without `overwrite`.
    """
    paths = {split: directory / f"{split}.parquet" for split in tables}
    problems = Problems()
    for split, table in tables.items():
        table.write_parquet(work / f"{split}.parquet")
        if not overwrite and paths[split].exists() and not _holds(paths[split], table):
            problems.add(f"{paths[split]} holds something else; pass --overwrite, or name another folder")
    problems.raise_if_any()
    for path in paths.values():
        os.replace(work / path.name, path)
    return paths


def _holds(path: Path, table: pl.DataFrame) -> bool:
    try:
        there = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError):
        return False
    return there.schema == table.schema and there.equals(table)
