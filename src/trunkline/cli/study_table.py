"""Study progress and tables on the terminal."""

from typing import final

from rich.console import Console

from trunkline.cli.comparison_table import print_table
from trunkline.cli.work_bar import WorkBar
from trunkline.insight.parallel.pool import Event
from trunkline.tuning.markdown import about, columns, rows, settings, title
from trunkline.tuning.order import Order
from trunkline.tuning.result import Tuning


@final
class StudyDisplay:
    """What the trials are at, and a line for each that ends.

    Args:
        bar: shows it.
    """

    def __init__(self, bar: WorkBar) -> None:
        self.bar = bar

    def start(self, trials: int, done: int) -> None:
        """Say how much there is to do."""
        self.bar.start(trials, done, f"the config itself, then {trials} trials", now="the config itself")

    def event(self, event: Event[Order]) -> None:
        """Show what happened."""
        if event.problem is not None:
            self.bar.warn(f"a trial went wrong: {event.problem}")
        if event.line is None:
            return
        number = event.line["trial"]
        if "epoch" in event.line:
            self.bar.show(f"trial {number}, epoch {event.line['epoch'] + 1}")
            return
        self.bar.done += 1
        told = [f"{name} {value:.4f}" for name, value in event.line["scores"].items()]
        told += [f"breaks: {name}" for name in event.line["broken"]]
        state = "" if event.line["state"] == "complete" else "ended early"
        state = state if event.line["problem"] is None else f"failed: {event.line['problem']}"
        head = f"{self.bar.done} of {self.bar.total}: trial {number}"
        self.bar.say("  ".join(filter(None, [head, *told, state, self.bar.spent])))
        self.bar.show("")


def print_study(tuning: Tuning) -> None:
    """The config itself beside the trials that are chosen, and what these change."""
    console = Console()
    for line in about(tuning):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    print_table(console, title(tuning), columns(tuning), rows(tuning, tuning.chosen), words=0)
    for trial in tuning.chosen:
        console.print(f"trial {trial.number}: {settings(trial)}", highlight=False, markup=False, soft_wrap=True)
