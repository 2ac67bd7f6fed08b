"""`trunkline report`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from trunkline.errors import UserError


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file; report.html in the first run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead.")] = False,
) -> None:
    """Write one HTML page of a run, or of several side by side; it needs no network."""
    from trunkline.report.page import figures_json, write_report
    from trunkline.report.run import read_run

    found = [read_run(run) for run in runs]
    if as_json:
        print(json.dumps(figures_json(found), allow_nan=False))
        return
    target = out or runs[0] / "report.html"
    if not target.parent.is_dir():
        raise UserError(f"{target}: folder {target.parent} does not exist")
    write_report(found, target)
    print(f"report: {target}")
