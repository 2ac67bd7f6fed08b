"""`trunkline tune`."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def tune(
    config: Annotated[Path, typer.Argument(help="YAML file with a tune section.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study; studies/<name of the config> by default.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many the study has in the end; tune.trials by default.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="After which no further trial is begun.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trials at once; as many as there are cores by default.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: training.epochs=5; repeatable.")
    ] = None,
    quiet: Annotated[bool, typer.Option(help="No progress, only the results.")] = False,
) -> None:
    """Search for better rates, weights, sizes and balancers; run it again, here or elsewhere, to go on or to join."""
    from trunkline.cli.study_table import StudyDisplay, print_study
    from trunkline.cli.train import parse_overrides
    from trunkline.cli.work_bar import WorkBar
    from trunkline.tuning.tune import tune as run

    folder = out or Path("studies") / config.stem
    bar = WorkBar("trials", quiet=quiet)
    display = StudyDisplay(bar)
    try:
        with bar:
            found = run(
                config,
                out=folder,
                trials=trials,
                seconds=None if minutes is None else 60 * minutes,
                jobs=jobs,
                overrides=parse_overrides(set_ or []),
                on_start=display.start,
                on_event=display.event,
            )
    except KeyboardInterrupt:
        if bar.started:
            print(f"interrupted; what is done lies in {folder}: the same command goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    print_study(found)
    if not found.chosen:
        complete = any(trial.state == "complete" for trial in found.trials)
        print("no trial keeps the guardrails" if complete else "no trial came to a good end", file=sys.stderr)
        print(f"study: {folder}")
        raise typer.Exit(1)
    print(f"study: {folder}")
    chosen = folder / ("best.yaml" if len(found.directions) == 1 else f"front/{found.chosen[0].run}.yaml")
    print(f"see whether it holds on the test rows: trunkline compare {chosen}")
