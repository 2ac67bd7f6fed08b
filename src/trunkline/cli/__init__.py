"""The command line: `trunkline COMMAND …`."""

import os
import sys
from typing import Annotated

import typer

from trunkline.cli.compare import compare
from trunkline.cli.data import data
from trunkline.cli.demo import demo
from trunkline.cli.diagnose import diagnose
from trunkline.cli.evaluate import evaluate
from trunkline.cli.extend import extend
from trunkline.cli.init import init
from trunkline.cli.lr_range import lr_range
from trunkline.cli.predict import predict
from trunkline.cli.report import report
from trunkline.cli.schema import schema
from trunkline.cli.train import train
from trunkline.cli.tune import tune
from trunkline.cli.version import show_version
from trunkline.errors import UserError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def trunkline(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Deep multi-task learning: one network, several KPIs, every one of them learning."""


for command in (init, train, lr_range, diagnose, compare, tune, extend, evaluate, predict, report, schema, demo, data):
    app.command()(command)


SPINS = "1000"
"""Turns that a thread of torch's waits before it lets go of its core: by default it does not for long, so that steps of
small batches take dozens of times as long where other programs want the cores, for a tenth gained where none does."""


def main() -> None:
    """Run a command; what a user can mend is printed without a traceback and ends with status 2."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read by OpenMP when torch is loaded
    try:
        app()
    except UserError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
