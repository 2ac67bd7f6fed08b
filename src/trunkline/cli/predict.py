"""`trunkline predict`."""

from os.path import exists
from pathlib import Path
from typing import Annotated

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
    from trunkline.tables.source import find_files

    check_target(out, overwrite=overwrite)
    if exists(out) and any(path.samefile(out) for path in find_files(data)):
        raise UserError(f"{out} is also the input; choose another name")
    rows = write_stream(Model.load(run).stream(data, keep=keep or []), out)
    print(f"{rows:,} rows: {out}")
