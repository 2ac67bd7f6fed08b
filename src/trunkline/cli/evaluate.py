"""`trunkline evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[list[str], typer.Argument(help="Files with features and labels.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score a trained model on labelled rows."""
    from trunkline.cli.show import print_table
    from trunkline.inference.model import Model

    scores = Model.load(run).evaluate(data)
    if as_json:
        print(json.dumps(scores, indent=2))
    else:
        print_table(", ".join(data), scores)
