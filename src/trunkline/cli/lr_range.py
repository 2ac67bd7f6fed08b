"""`trunkline lr-range`."""

from pathlib import Path
from typing import Annotated

import typer

from trunkline.errors import UserError


def lr_range(
    config: Annotated[Path, typer.Argument(help="YAML file; `trunkline init` writes one.")],
    steps: Annotated[int, typer.Option(help="Of each sweep.")] = 100,
    low: Annotated[float, typer.Option(help="Where the rates begin.")] = 1e-6,
    high: Annotated[float, typer.Option(help="Where the rates end.")] = 1.0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the YAML block here as well.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the curves here as an SVG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of YAML.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
    quiet: Annotated[bool, typer.Option(help="Neither progress nor the table.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: optimizer.lr=0.003; repeatable.")
    ] = None,
) -> None:
    """Find a learning rate for each subnet by itself; the table goes to stderr, the `optimizer.subnets` to stdout."""
    from rich.console import Console
    from rich.table import Table

    from trunkline.cli.train import parse_overrides
    from trunkline.insight.lr_range.plot import to_svg
    from trunkline.insight.lr_range.range_test import lr_range
    from trunkline.runs.files import write_text

    for file in (out, plot):
        if file is not None and file.exists() and not overwrite:
            raise UserError(f"{file} exists; replace it with --overwrite, or choose another name")
        if file is not None and not file.parent.is_dir():
            raise UserError(f"{file}: folder {file.parent} does not exist")
    console = Console(stderr=True, soft_wrap=True, quiet=quiet)
    ranges = lr_range(
        config,
        steps=steps,
        low=low,
        high=high,
        overrides=parse_overrides(set_ or []),
        on_sweep=lambda name: console.print(f"{steps} steps: {name}", highlight=False),
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("subnet", "configured", "take", "what the sweep says"):
        table.add_column(column, overflow="fold")
    for name, sweep in ranges.sweeps.items():
        table.add_row(name, f"{sweep.configured:g}", f"{sweep.suggestion:g}", sweep.told)
    for name, why in ranges.skipped.items():
        table.add_row(name, "", "–", why)
    console.print(table)
    if ranges.note is not None:
        console.print(ranges.note, highlight=False)
    if out is not None:
        write_text(out, ranges.to_yaml())
    if plot is not None:
        write_text(plot, to_svg(ranges))
    print(ranges.to_json() if as_json else ranges.to_yaml(), end="\n" if as_json else "")
