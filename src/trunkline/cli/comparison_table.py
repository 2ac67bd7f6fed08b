"""A comparison on the terminal: what is under way, and what came of it."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from trunkline.cli.show import epoch_text
from trunkline.insight.jobs import Job
from trunkline.insight.markdown import (
    TASK_COLUMNS,
    WHOLE_COLUMNS,
    about,
    conclusions,
    task_rows,
    task_title,
    whole_rows,
)
from trunkline.insight.pool import Event
from trunkline.insight.result import Comparison

_NARROWEST = 6
"""Characters of the first column."""


@final
class ComparisonDisplay:
    """A bar of the runs, what each of them is at, and a line for each that ends.

    Args:
        quiet: show nothing but what went wrong.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.started = False
        self.quiet = quiet
        self.console = Console(stderr=True, soft_wrap=True)
        self.bar = Progress(
            BarColumn(bar_width=20),
            TextColumn("{task.completed} of {task.total} runs · {task.fields[now]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._done, self._all, self._began = 0, 0, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def start(self, jobs: Sequence[Job], done: int) -> None:
        """Say how much there is to do, and begin the bar."""
        self.started, self._done, self._all, self._began = True, done, len(jobs), time.monotonic()
        kept = f", {done} of them done already" if done else ""
        self._print(f"{len(jobs)} runs{kept}")
        self.bar.start()
        self._task = self.bar.add_task("", total=len(jobs), completed=done, now="")

    def event(self, event: Event[Job]) -> None:
        """Show what happened."""
        if event.done:
            self._done += event.problem is None
            spent = time.monotonic() - self._began
            if event.problem is not None:
                self.console.print(f"{event.job.name}: failed: {event.problem}", highlight=False, markup=False)
            else:
                self._print(f"{self._done} of {self._all}: {event.job.name}  {spent:,.0f} s")
        if self._task is not None:
            now = event.job.name if event.line is None else f"{event.job.name}, {epoch_text(event.line).split(':')[0]}"
            self.bar.update(self._task, completed=self._done, now=now)

    def _print(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False)


def print_comparison(comparison: Comparison) -> None:
    """A table for each task, one for all together, and what may be said."""
    console = Console()
    for line in about(comparison):
        console.print(line, highlight=False, markup=False)
    for task in comparison.metrics:
        print_table(console, task_title(comparison, task), TASK_COLUMNS, task_rows(comparison, task), words=1)
    if len(comparison.metrics) > 1:
        print_table(console, "all tasks", WHOLE_COLUMNS, whole_rows(comparison), words=0)
    for line in conclusions(comparison):
        console.print(line, highlight=False, markup=False)


def print_table(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: int
) -> None:
    """A table whose first column, and the last few that hold words, stand to the left; long names are folded.

    Args:
        console: where.
        title: above it.
        columns: their names.
        rows: of cells.
        words: how many of the last columns hold words.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        in_words = i == 0 or i >= len(columns) - words
        table.add_column(
            column,
            justify="left" if in_words else "right",
            overflow="fold",
            no_wrap=i > 0 and not in_words,
            min_width=_NARROWEST if i == 0 else None,  # where the terminal is too narrow for the numbers as well
        )
    for row in rows:
        table.add_row(*row)
    console.print("", table, "", highlight=False, markup=False)
