"""Writing a stream of frames into one file, whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from os.path import exists, isdir
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from trunkline.errors import UserError
from trunkline.runs.files import cannot_write

ENDINGS = (".parquet", ".csv", ".ipc", ".arrow", ".feather", ".ndjson", ".jsonl")


def check_target(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that cannot or must not be written.

    Raises:
        UserError: an unknown ending, a missing folder, a file that is there already.
    """
    if path.suffix not in ENDINGS:
        raise UserError(f"{path}: the ending {path.suffix or '(none)'} is unknown; known: {', '.join(ENDINGS)}")
    if not isdir(path.parent):
        raise UserError(f"{path}: folder {path.parent} does not exist")
    if isdir(path):
        raise UserError(f"{path} is a folder; choose another name")
    if exists(path) and not overwrite:
        raise UserError(f"{path} exists; replace it with --overwrite, or choose another name")


def write_stream(frames: Iterator[pl.DataFrame], path: Path) -> int:
    """Write frames of one schema beside `path` and rename; the number of rows.

    Args:
        frames: at least one, the first of which tells the schema; they are taken one at a time.
        path: its ending says the format.

    Raises:
        UserError: whatever the frames' source raises; the file is then not written.
    """
    first = next(frames)
    rows, failed = 0, []

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        nonlocal rows
        try:
            for frame in chain([first], frames):
                rows += len(frame)
                yield frame if with_columns is None else frame.select(with_columns)
        except UserError as error:
            # polars would wrap it in an error of its own
            failed.append(error)
            raise

    lazy = register_io_source(source, schema=first.schema)
    partial = path.with_name(f".{path.name}.partial")
    try:
        match path.suffix:
            case ".parquet":
                lazy.sink_parquet(partial)
            case ".csv":
                lazy.sink_csv(partial)
            case ".ndjson" | ".jsonl":
                lazy.sink_ndjson(partial)
            case _:
                lazy.sink_ipc(partial)
        os.replace(partial, path)
    except Exception as error:
        with suppress(OSError):  # a folder that cannot be written has nothing in it
            partial.unlink(missing_ok=True)
        if failed:
            raise failed[0] from None
        if isinstance(error, (OSError, pl.exceptions.PolarsError)):
            raise cannot_write(path, error) from error
        raise
    except KeyboardInterrupt:
        partial.unlink(missing_ok=True)
        raise
    return rows
