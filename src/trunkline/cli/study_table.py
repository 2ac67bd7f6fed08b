"""A study on the terminal: what is under way, and what came of it."""

import time
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from trunkline.cli.comparison_table import print_table
from trunkline.insight.pool import Event
from trunkline.tuning.markdown import about, columns, rows, settings, title
from trunkline.tuning.order import Order
from trunkline.tuning.result import Tuning


@final
class StudyDisplay:
    """A bar of the trials, and a line for each that ends.

    Args:
        quiet: show nothing but what went wrong.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.started = False
        self.quiet = quiet
        self.console = Console(stderr=True, soft_wrap=True)
        self.bar = Progress(
            BarColumn(bar_width=20),
            TextColumn("{task.completed} of {task.total} trials · {task.fields[now]}"),
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

    def start(self, trials: int, done: int) -> None:
        """Say how much there is to do, and begin the bar."""
        self.started, self._done, self._all, self._began = True, done, trials, time.monotonic()
        self._print(f"the config itself, then {trials} trials{f', {done} of them done already' if done else ''}")
        self.bar.start()
        self._task = self.bar.add_task("", total=trials, completed=done, now="the config itself")

    def event(self, event: Event[Order]) -> None:
        """Show what happened."""
        if event.problem is not None:
            self.console.print(f"a trial went wrong: {event.problem}", highlight=False, markup=False)
        if event.line is None:
            return
        number = event.line["trial"]
        if "epoch" in event.line:
            self._show(f"trial {number}, epoch {event.line['epoch'] + 1}")
            return
        self._done += 1
        told = [f"{name} {value:.4f}" for name, value in event.line["scores"].items()]
        told += [f"breaks: {name}" for name in event.line["broken"]]
        state = "" if event.line["state"] == "complete" else "ended early"
        state = state if event.line["problem"] is None else f"failed: {event.line['problem']}"
        spent = f"{time.monotonic() - self._began:,.0f} s"
        self._print("  ".join(filter(None, [f"{self._done} of {self._all}: trial {number}", *told, state, spent])))
        self._show("")

    def _show(self, now: str) -> None:
        if self._task is not None:
            self.bar.update(self._task, completed=self._done, now=now)

    def _print(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False)


def print_study(tuning: Tuning) -> None:
    """The config itself beside the trials that are chosen, and what these change."""
    console = Console()
    for line in about(tuning):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    print_table(console, title(tuning), columns(tuning), rows(tuning, tuning.chosen), words=0)
    for trial in tuning.chosen:
        console.print(f"trial {trial.number}: {settings(trial)}", highlight=False, markup=False, soft_wrap=True)
