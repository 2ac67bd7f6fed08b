"""`trunkline predict`."""

from collections.abc import Iterator
from os.path import exists
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from trunkline.errors import UserError


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[list[str], typer.Argument(help="Files with the feature columns.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="parquet, csv, ipc, arrow, feather, ndjson or jsonl.")],
    keep: Annotated[
        list[str] | None, typer.Option(help="Column to write beside the estimates; repeatable; '*' for all.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it is there.")] = False,
) -> None:
    """Write each row's estimates, in order, beside the columns asked for; rows are streamed."""
    from trunkline.inference.model import Model
    from trunkline.inference.sink import check_target, write_stream
    from trunkline.tables.fingerprint import fingerprint, unchanged
    from trunkline.tables.source import Files

    check_target(out, overwrite=overwrite)
    files = Files(data)
    if exists(out) and any(path.samefile(out) for path in files.paths):
        raise UserError(f"{out} is also the input; choose another name")
    model = Model.load(run)

    def estimates() -> Iterator[pl.DataFrame]:
        with unchanged(files.paths, fingerprint(files.paths)), files.naming():
            yield from model.stream(data, keep=keep or [])

    rows = write_stream(estimates(), out)
    print(f"{rows:,} rows: {out}")
