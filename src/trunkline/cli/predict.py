"""`trunkline predict`."""

import json
from collections.abc import Iterator, Sequence
from os.path import exists
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

import typer

from trunkline.cli.csv_options import Encoding, Separator, overridden
from trunkline.errors import Problems, UserError

if TYPE_CHECKING:
    import polars as pl

DECIDE = (
    "Write <task>_decision, 0 or 1, by a threshold chosen on the run's validation rows: click=f1 (the greatest F1); "
    "click=cost:5:1 (the least expected cost: 5 for a false alarm, 1 for a miss); click=rate:0.1 (flags that share of "
    "rows); click=at:0.3 (a threshold of your own). Repeatable, a task each."
)


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[list[str], typer.Argument(help="Files with the feature columns.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="parquet, csv, ipc, arrow, feather, ndjson or jsonl.")],
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to write beside the estimates; repeatable; '*' for all. A label that has its task's name is "
            "written as label_<name>."
        ),
    ] = None,
    decide: Annotated[list[str] | None, typer.Option(metavar="TASK=RULE", help=DECIDE)] = None,
    top: Annotated[int | None, typer.Option(help="Write only so many rows, those with the largest estimates.")] = None,
    by: Annotated[str | None, typer.Option(help="The task whose estimate --top ranks by.")] = None,
    separator: Separator = None,
    encoding: Encoding = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print nothing but errors.")] = False,
) -> None:
    """Write each row's estimates, in order, beside the columns asked for; rows are streamed."""
    from trunkline.cli.show import print_remarks
    from trunkline.inference.decision import Decision
    from trunkline.inference.model import Model
    from trunkline.inference.sink import check_target, write_stream
    from trunkline.inference.top_rows import ranked_by, top_rows
    from trunkline.runs.files import write_json
    from trunkline.tables.source import find_files

    problems = Problems()
    with problems.collect():
        check_target(out, overwrite=overwrite)
    rules, beside = dict[str, str](), out.with_suffix(".decisions.json")
    with problems.collect():
        rules = parse_rules(decide or [])
    if rules and exists(beside) and not overwrite:
        problems.add(f"{beside} exists; replace it with --overwrite, or choose another name for --out")
    if top is not None and top < 1:
        problems.add(f"--top {top}: it must be at least 1")
    if by is not None and top is None:
        problems.add(f"--by {by} goes with --top: say how many rows to write")
    problems.raise_if_any()
    if exists(out) and any(path.samefile(out) for path in find_files(data)):
        raise UserError(f"{out} is also the input; choose another name")
    model = Model.load(run)
    decisions, column, dialect = dict[str, Decision](), None, model.config.data.dialect
    with problems.collect():
        decisions = model.decisions(rules)
    with problems.collect():
        column = None if top is None else ranked_by(by, model.network.tasks, model.estimates_of_none())
    with problems.collect():
        dialect = overridden(dialect, separator=separator, encoding=encoding)
    problems.raise_if_any()
    seen = RowCount()
    watch = model.watch()
    frames = seen.counting(model.iter(data, keep=keep or [], decide=rules, dialect=dialect, look=watch.see))
    if top is not None and column is not None:
        frames = iter([top_rows(frames, top, by=column)])
    rows = write_stream(frames, out)
    chosen = {task: one.to_json() for task, one in decisions.items()}
    if chosen:
        write_json(beside, chosen)
    else:
        beside.unlink(missing_ok=True)  # of what has just been replaced
    if as_json:
        print(
            json.dumps(
                {"out": str(out), "rows": rows, "seen": seen.rows, "decisions": chosen, "input": watch.to_json()},
                indent=2,
            )
        )
    elif not quiet:
        print_remarks(watch.remarks(), reference=watch.reference)
        for one in decisions.values():
            print(one)
        ranked = f", the largest {column} of {seen.rows:,}" if column is not None else ""
        print(f"{rows:,} rows{ranked}: {out}")


@final
class RowCount:
    """How many rows have gone through."""

    def __init__(self) -> None:
        self.rows = 0

    def counting(self, frames: "Iterator[pl.DataFrame]") -> "Iterator[pl.DataFrame]":
        """The same frames, counted."""
        for frame in frames:
            self.rows += len(frame)
            yield frame


def parse_rules(pairs: Sequence[str]) -> dict[str, str]:
    """`["click=f1"]` -> `{"click": "f1"}`.

    Raises:
        UserError: a pair without `=`, or a task twice; all of them.
    """
    problems, rules = Problems(), dict[str, str]()
    for pair in pairs:
        task, equals, rule = pair.partition("=")
        if not equals or not task:
            problems.add(f"--decide {pair!r}: write TASK=RULE, for example click=f1")
        elif task in rules:
            problems.add(f"--decide {pair!r}: {task} has a rule already, {rules[task]}; a task has one decision")
        else:
            rules[task] = rule
    problems.raise_if_any()
    return rules
