"""`trunkline report`."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.errors import Problems

if TYPE_CHECKING:
    from trunkline.report import Compared, Run


def report(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN|COMPARISON...", help="Folders of runs and comparisons.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file; report.html in the first folder.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Draw what the folders hold; look for nothing in runs and their rows.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead.")] = False,
) -> None:
    """Write one HTML page of runs and comparisons; it needs no network."""
    from trunkline.report.comparison import is_comparison, read_comparison
    from trunkline.report.page import figures_json, write_report
    from trunkline.report.run import read_run

    shown: list[Run | Compared] = []
    problems = Problems()
    for path in paths:
        with problems.collect():
            shown.append(read_comparison(path) if is_comparison(path) else read_run(path))
    target = out or (paths[0] if paths[0].is_dir() else paths[0].parent) / "report.html"
    if not as_json and not target.parent.is_dir():
        problems.add(f"{target}: folder {target.parent} does not exist")
    problems.raise_if_any()
    if not quick:
        shown = [_looked_into(one) for one in shown]
    if as_json:
        print(json.dumps(figures_json(shown), allow_nan=False))
        return
    write_report(shown, target)
    print(f"report: {target}")


def _looked_into(one: "Run | Compared") -> "Run | Compared":
    """A run with what is found in it; a line on stderr says what takes its time."""
    from rich.console import Console

    from trunkline.report.insight import find_insight
    from trunkline.report.run import Run

    if not isinstance(one, Run) or one.insight is not None:
        return one
    console, began = Console(stderr=True, soft_wrap=True), time.monotonic()
    with console.status(one.name) as status:
        insight = find_insight(one.path, lambda step: status.update(f"{one.name}: {step}"))
    spent = time.monotonic() - began
    done = f"{one.name}: looked into in {spent:,.1f} s (--quick leaves this out)"
    console.print(done, highlight=False, markup=False)
    return replace(one, insight=insight)
