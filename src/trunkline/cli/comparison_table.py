"""Comparison progress and tables on the terminal."""

from collections.abc import Sequence
from typing import final

from rich.console import Console
from rich.table import Table

from trunkline.cli.work_bar import WorkBar
from trunkline.insight.comparison.jobs import Job
from trunkline.insight.comparison.markdown import (
    TASK_COLUMNS,
    WHOLE_COLUMNS,
    about,
    conclusions,
    task_rows,
    task_title,
    whole_rows,
)
from trunkline.insight.comparison.result import Comparison
from trunkline.insight.parallel.pool import Event
from trunkline.training.display.text import epoch_text

_NARROWEST = 6
"""Characters of the first column."""


@final
class ComparisonDisplay:
    """What the runs are at, and a line for each that ends.

    Args:
        bar: shows it.
    """

    def __init__(self, bar: WorkBar) -> None:
        self.bar = bar

    def start(self, jobs: Sequence[Job], done: int) -> None:
        """Say how much there is to do."""
        self.bar.start(len(jobs), done, f"{len(jobs)} runs")

    def event(self, event: Event[Job]) -> None:
        """Show what happened."""
        if event.done:
            self.bar.done += event.problem is None
            if event.problem is not None:
                self.bar.warn(f"{event.job.name}: failed: {event.problem}")
            else:
                self.bar.say(f"{self.bar.done} of {self.bar.total}: {event.job.name}  {self.bar.spent}")
        at = "" if event.line is None else f", {epoch_text(event.line).split(':')[0]}"
        self.bar.show(f"{event.job.name}{at}")


def print_comparison(comparison: Comparison) -> None:
    """A table for each task, one for all together, and what may be said of each network."""
    console = Console()
    for line in about(comparison):
        console.print(line, highlight=False, markup=False)
    for task in comparison.metrics:
        print_table(console, task_title(comparison, task), TASK_COLUMNS, task_rows(comparison, task), words=1)
    if len(comparison.metrics) > 1:
        print_table(console, "all tasks", WHOLE_COLUMNS, whole_rows(comparison), words=0)
    for line in conclusions(comparison):
        console.print(line, highlight=False, markup=False)


def print_sentence(comparison: Comparison) -> None:
    """The one sentence, as wide as the terminal."""
    Console().print(comparison.sentence, highlight=False, markup=False)


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
