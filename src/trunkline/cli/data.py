"""`trunkline data`."""

from pathlib import Path
from typing import Annotated

import typer


def data(
    name: Annotated[str, typer.Argument(help="census-income or kuairand-pure.")],
    directory: Annotated[Path, typer.Argument(help="Folder for train.parquet, valid.parquet and test.parquet.")],
    mirror: Annotated[Path | None, typer.Option("--from", help="Folder that holds the originals already.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
) -> None:
    """Get a public data set from its owner, check it, and write training, validation and test rows."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TaskID

    from trunkline.datasets import dataset

    chosen = dataset(name)
    bars: dict[str, TaskID] = {}
    with Progress(*Progress.get_default_columns(), DownloadColumn(), console=Console(stderr=True)) as progress:

        def report(file: str, done: int, total: int | None) -> None:
            if file not in bars:
                bars[file] = progress.add_task(file, total=total)
            progress.update(bars[file], completed=done)

        written = chosen.write(directory, mirror, overwrite=overwrite, progress=report)
    print(f"{chosen.about} ({chosen.licence})")
    for part, path in written.items():
        print(f"{part}: {path}")
