"""Progress bars and tables on the terminal."""

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from trunkline.callbacks import Line
from trunkline.inference.input_watch import Remark
from trunkline.training.loop import Loop


@final
class TrainingDisplay:
    """A progress bar with rows a second, losses and their weights, and a line an epoch.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.started = False
        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True)
        self.bar = Progress(
            BarColumn(bar_width=20),
            TextColumn("epoch {task.fields[epoch]} · {task.fields[speed]} · {task.fields[losses]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._logger = logging.getLogger("trunkline")

    def __enter__(self) -> Self:
        self._level = self._logger.level
        if self.console.quiet:
            self._logger.setLevel(logging.ERROR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.setLevel(self._level)
        self.bar.stop()

    def start(self, loop: Loop) -> None:
        """Say what is about to be trained, and begin the bar."""
        self.started = True
        parameters = sum(p.numel() for p in loop.network.parameters())
        rows = {"training": loop.train, "validation": loop.valid}
        counted = ", ".join(f"{len(b.store):,} {name} rows" for name, b in rows.items() if b is not None)
        self.console.print(f"{counted}; {parameters:,} parameters on {loop.device}", highlight=False)
        done = loop.state.progress.step
        self.bar.start()
        self._task = self.bar.add_task(
            "", total=len(loop.train) * loop.epochs, completed=done, epoch=1, speed="", losses=""
        )

    def line(self, line: Line) -> None:
        """Show a line of the history."""
        if "valid" in line:
            self.console.print(epoch_text(line), highlight=False)
        elif self._task is not None:
            losses = "  ".join(
                f"{name} {loss:.4f}×{line['weights'][name]:.3g}"
                for name, loss in line["losses"].items()
                if loss is not None
            )
            self.bar.update(
                self._task,
                completed=line["step"],
                epoch=line["epoch"] + 1,
                speed=f"{line['rows_per_second']:,.0f} rows/s",
                losses=losses,
            )


def epoch_text(line: Mapping[str, Any]) -> str:
    """`epoch 3: click auc 0.7512 …  score 0.7011 *`, the star for the best so far; and which experts no gate uses."""
    text = f"epoch {line['epoch'] + 1}:"
    if line["valid"] is not None:
        for name, scores in line["valid"].items():
            metric = next(iter(scores))
            text += f"  {name} {metric} {number(scores[metric])}"
        text += f"  score {number(line['score'])}"
    text += " *" if line["best"] else ""
    unused = line.get("unused_experts")
    return f"{text}\n  used by no gate: {', '.join(unused)}" if unused else text


def print_scores(metrics: Mapping[str, Any]) -> None:
    """The scores of each part as a table, and how long the training took."""
    for part in ("valid", "test"):
        if part in metrics:
            print_table(part, metrics[part])
    selected = metrics["selected_epoch"]
    print(
        f"epoch {selected} of {metrics['epochs']} selected by {metrics['select']}; "
        f"{metrics['train_seconds']:.1f} s of training, {metrics['rows_per_second'] or 0:,.0f} rows/s"
    )


def print_table(title: str, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """A table for the tasks that share their metrics: one row a task, one column a metric."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, values in scores.items():
        alike.setdefault(tuple(values), []).append(name)
    for columns, names in alike.items():
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("task", overflow="fold")
        for column in columns:
            table.add_column(column.replace("_", " "), justify="right", overflow="fold")
        for name in names:
            table.add_row(name, *(number(scores[name][column]) for column in columns))
        Console().print(table, "")


def print_remarks(remarks: Sequence[Remark], *, reference: str) -> None:
    """On stderr what is unlike the `reference` rows in rows to predict, a line a remark; nothing where nothing is."""
    if not remarks:
        return
    table = Table(
        title=f"unlike the {reference} rows", title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for column in ("column", "here", reference, "what"):
        table.add_column(column, justify="right" if column in ("here", reference) else "left", overflow="fold")
    for one in remarks:
        share = [
            f"{value:.2f}" if one.what == "moved" else f"{100 * value:.1f} %" for value in (one.found, one.expected)
        ]
        table.add_row(Text(one.column), *share, Text(one.text))
    Console(stderr=True).print(table)


def number(value: float | int | None) -> str:
    """Four digits that matter; a dash where there is no value."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
