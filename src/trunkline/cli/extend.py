"""`trunkline extend`."""

from pathlib import Path
from typing import Annotated

import typer


def extend(
    run: Annotated[Path, typer.Argument(help="Folder of the trained run.")],
    config: Annotated[Path, typer.Argument(help="YAML file with the new tasks, and data where it is other data.")],
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/<name of the config> by default.")] = None,
    old_lr: Annotated[
        float, typer.Option(help="Learning rate of everything that the run had; 0 freezes it to the bit.")
    ] = 0.0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: optimizer.lr=0.003; repeatable.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a run that lies in the folder.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print nothing but errors.")] = False,
) -> None:
    """Add tasks to a trained network; what it knows stays, frozen or at a small rate of its own."""
    from trunkline.cli.show import TrainingDisplay, print_scores
    from trunkline.cli.train import interrupted, parse_overrides
    from trunkline.training.extend import extend as add

    folder = out or Path("runs") / config.stem
    display = TrainingDisplay(quiet=quiet)
    try:
        with display:
            model = add(
                run,
                config,
                out=folder,
                old_lr=old_lr,
                overrides=parse_overrides(set_ or []),
                overwrite=overwrite,
                on_start=display.start,
                on_line=display.line,
                progress=False,
            )
    except KeyboardInterrupt:
        raise interrupted(display.started, folder, folder / "config.yaml") from None
    if quiet:
        return
    print_scores(model.metrics)
    print(f"run: {folder}")
