"""Progress bars and tables on the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trunkline.callbacks import Line
from trunkline.inference.input_watch import Remark
from trunkline.log_level import only_errors
from trunkline.metrics.choice import choices
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import read_history
from trunkline.training.display import TerminalDisplay
from trunkline.training.display.text import number
from trunkline.training.loop import Loop


@final
class TrainingDisplay:
    """What the terminal shows of a training; nothing but errors where it is to be quiet.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._display = TerminalDisplay(Console(stderr=True, quiet=quiet, soft_wrap=True))
        self._held_back = only_errors(wanted=quiet)

    @property
    def started(self) -> bool:
        """Whether the training has begun."""
        return self._display.started

    def __enter__(self) -> Self:
        self._held_back.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held_back.__exit__(kind, error, trace)
        self._display.close()

    def start(self, loop: Loop) -> None:
        """Say what is about to be trained, and begin the bar."""
        self._display.start(loop)

    def line(self, line: Line) -> None:
        """Show a line of the history."""
        self._display.line(line)


def print_scores(metrics: Mapping[str, Any]) -> None:
    """The scores of each part as a table, and how long the training took."""
    for part in ("valid", "test", "train"):
        if part in metrics:
            print_table("train: rows it learned from, optimistic" if part == "train" else part, metrics[part])
    selected, chosen = metrics["selected_epoch"], "kept, the last one"
    if metrics["score"] is not None:
        chosen = f"selected by {metrics['select']}"
    print(
        f"epoch {selected} of {metrics['epochs']} {chosen}; "
        f"{metrics['train_seconds']:.1f} s of training, {metrics['rows_per_second'] or 0:,.0f} rows/s"
    )


def print_choice(folder: Path, selected: int | None, headlines: Mapping[str, str]) -> None:
    """Each task's best epoch by itself, where that is not the selected one of several."""
    epochs = [line for line in read_history(RunFolder(folder).history) if "valid" in line]
    found = choices(epochs, headlines, selected)
    if len(epochs) > 1 and any(one.best_epoch != selected for one in found):
        own = "; ".join(one.told for one in found if one.best_epoch != selected)
        print(f"a task's own best epoch on the validation rows: {own}")


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
