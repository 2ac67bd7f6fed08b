"""`trunkline diagnose`."""

from pathlib import Path
from typing import Annotated

import typer


def diagnose(
    source: Annotated[Path, typer.Argument(help="Run folder, or YAML file to train briefly.")],
    steps: Annotated[int, typer.Option(help="Of the brief training.")] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: optimizer.lr=0.003; repeatable.")
    ] = None,
) -> None:
    """Find what is wrong with a run or a config, and the line of the config that would change it."""
    from trunkline.cli.train import parse_overrides
    from trunkline.insight.diagnosis.diagnose import diagnose

    found = diagnose(source, steps=steps, overrides=parse_overrides(set_ or []))
    print(found.to_json() if as_json else found)
