"""`trunkline train`."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from trunkline.errors import UserError


def train(
    config: Annotated[Path, typer.Argument(help="YAML file; `trunkline init` writes one.")],
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/<name of the config> by default.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: optimizer.lr=0.003; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue the run in the folder from its checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace a run that lies in the folder.")] = False,
    try_: Annotated[
        float,
        typer.Option("--try", help="Seconds for trying, once all is done, what findings advise."),
    ] = 20.0,
    quiet: Annotated[bool, typer.Option(help="Print nothing but errors.")] = False,
) -> None:
    """Train a network, select its best epoch on the validation rows and score it on the test rows."""
    from trunkline.cli.ended import Ended
    from trunkline.cli.show import TrainingDisplay, print_choice, print_scores
    from trunkline.training.fit import fit

    folder = out or Path("runs") / config.stem
    display, ended = TrainingDisplay(quiet=quiet), Ended(try_)
    try:
        with display:
            model = fit(
                config,
                out=folder,
                overrides=parse_overrides(set_ or []),
                resume=resume,
                overwrite=overwrite,
                on_start=display.start,
                on_line=display.line,
                on_trained=None if quiet else ended.judge,
                progress=False,
            )
    except KeyboardInterrupt:
        raise interrupted(display.started, folder, config, set_ or []) from None
    if quiet:
        return
    print_scores(model.metrics)
    print_choice(folder, model.metrics["selected_epoch"], {task.name: task.headline for task in model.network.tasks})
    ended.print()
    print(f"run: {folder}")


def interrupted(started: bool, folder: Path, config: Path, sets: Sequence[str] = ()) -> typer.Exit:
    """Say how to go on after Ctrl-C, if the training had begun; the exit to raise."""
    if started:
        again = shlex.join(["trunkline", "train", str(config), "--out", str(folder), "--resume"])
        again += "".join(f" --set {shlex.quote(one)}" for one in sets)
        print(
            f"interrupted; the checkpoint is {folder / 'checkpoint'}\ngo on with: {again}",
            file=sys.stderr,
        )
    return typer.Exit(130)


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """`["a.b=1"]` -> `{"a.b": 1}`; values are YAML, and `a.b: 1`, as advice is printed, is the same.

    Raises:
        UserError: a pair without `=`, or a value that is no YAML.
    """
    import yaml

    from trunkline.config.yaml_file import parse_yaml

    overrides = {}
    for pair in pairs:
        key, equals, value = re.match(r'((?:"[^"]*"|[^=:"])*)(=|:(?=\s))?(.*)', pair, re.DOTALL).groups()  # type: ignore[union-attr]  # it fits anything
        if not equals:
            raise UserError(f"--set {_shown(pair)}: write KEY=VALUE, for example optimizer.lr=0.003")
        try:
            overrides[key.strip()] = parse_yaml(value)
        except (yaml.YAMLError, ValueError):
            raise UserError(f"--set {_shown(pair)}: the value is no valid YAML") from None
    return overrides


def _shown(pair: str) -> str:
    """What a message repeats: no more of a URL than its scheme, since a password may stand in it."""
    before, scheme, _ = pair.partition("://")
    return repr(f"{before}{scheme}…" if scheme else pair)
