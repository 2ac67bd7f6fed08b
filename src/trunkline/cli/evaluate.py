"""`trunkline evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.csv_options import Encoding, Separator, overridden


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[list[str], typer.Argument(help="Files with features and labels.")],
    separator: Separator = None,
    encoding: Encoding = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score a trained model on labelled rows."""
    from trunkline.cli.show import print_table
    from trunkline.inference.model import Model

    model = Model.load(run)
    dialect = overridden(model.config.data.dialect, separator=separator, encoding=encoding)
    scores = model.evaluate(data, dialect=dialect)
    if as_json:
        print(json.dumps(scores, indent=2))
    else:
        print_table(", ".join(data), scores)
