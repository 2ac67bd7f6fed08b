"""`trunkline compare`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from trunkline.errors import Problems


def compare(
    config: Annotated[Path, typer.Argument(help="YAML file; `trunkline init` writes one.")],
    vary: Annotated[
        list[str] | None,
        typer.Option(help="Values to compare: balance.objective=sum,famo; repeatable, every combination is a variant."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each network.")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the comparison; comparisons/<name of the config> by default.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at once; as many as there are cores by default.")
    ] = None,
    with_trees: Annotated[bool, typer.Option("--with-trees", help="Compare gradient-boosted trees too.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value for all: training.epochs=5; repeatable.")
    ] = None,
    quiet: Annotated[bool, typer.Option(help="No progress, only the results.")] = False,
) -> None:
    """Train it, its variants and a network for each task alone over several seeds: for which tasks does sharing pay?"""
    from trunkline.cli.comparison_table import ComparisonDisplay, print_comparison, print_sentence
    from trunkline.cli.train import parse_overrides
    from trunkline.cli.work_bar import WorkBar
    from trunkline.insight.comparison.compare import compare as run
    from trunkline.insight.comparison.variants import parse_vary

    problems = Problems()
    with problems.collect():
        values = parse_vary(vary or [])
    with problems.collect():
        overrides = parse_overrides(set_ or [])
    problems.raise_if_any()
    folder = out or Path("comparisons") / config.stem
    bar = WorkBar("runs", quiet=quiet)
    display = ComparisonDisplay(bar)
    try:
        with bar:
            result = run(
                config,
                vary=values,
                seeds=seeds,
                out=folder,
                overrides=overrides,
                jobs=jobs,
                with_trees=with_trees,
                on_start=display.start,
                on_event=display.event,
            )
    except KeyboardInterrupt:
        if bar.started:
            print(f"interrupted; what is done lies in {folder}: the same command goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    print_comparison(result)
    print(f"comparison: {folder}")
    print_sentence(result)
    if any(network.missing for network in result.networks):
        raise typer.Exit(1)
