"""`trunkline diagnose`."""

from pathlib import Path
from typing import Annotated

import typer


def diagnose(
    source: Annotated[Path, typer.Argument(help="Run folder, or YAML file to train briefly.")],
    steps: Annotated[int, typer.Option(help="Of the brief training.")] = 300,
    try_: Annotated[
        float, typer.Option("--try", help="Seconds for trying on the validation rows what a run's findings advise.")
    ] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: optimizer.lr=0.003; repeatable.")
    ] = None,
) -> None:
    """Find what is wrong with a run or a config, and the line of the config that would change it."""
    from rich.console import Console

    from trunkline.cli.train import parse_overrides
    from trunkline.insight.diagnosis.diagnose import diagnose

    with Console(stderr=True, soft_wrap=True).status("looking") as status:
        found = diagnose(
            source,
            steps=steps,
            seconds=try_,
            overrides=parse_overrides(set_ or []),
            on_trial=lambda change: status.update(f"trying {change}"),
        )
    print(found.to_json() if as_json else found)
