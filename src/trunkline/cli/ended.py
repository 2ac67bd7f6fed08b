"""What is said at the end of a training: is it any good?"""

from typing import final

from rich.console import Console
from rich.table import Table

from trunkline.inference.model import Model
from trunkline.insight.diagnosis.after_training import Verdict, judge
from trunkline.insight.diagnosis.telling import told
from trunkline.insight.quality.task_quality import TaskQuality
from trunkline.insight.statistics.intervals import Interval, half_width
from trunkline.preparation.data import Data
from trunkline.training.display.text import number


@final
class Ended:
    """Judges a model once it is trained, and tells of it afterwards.

    Args:
        seconds: for trying what findings advise.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._verdict: Verdict | None = None
        self._stopped = ""

    def judge(self, model: Model, data: Data) -> None:
        """Measure; Ctrl-C ends it without harm to the run."""
        console = Console(stderr=True, soft_wrap=True)
        try:
            with console.status("looking whether it is any good") as status:
                self._verdict = judge(
                    model, data, seconds=self._seconds, on_trial=lambda change: status.update(f"trying {change}")
                )
        except KeyboardInterrupt:
            self._stopped = "stopped"
        except Exception as error:  # the run is whole, and its scores are to be told whatever fails here
            self._stopped = f"{type(error).__name__}: {error}"

    def print(self) -> None:
        """The tasks beside a linear model, and the findings."""
        if self._stopped:
            print(f"findings: {self._stopped}; trunkline diagnose finds them later")
        if self._verdict is None:
            return
        if not self._verdict.tasks:
            print("findings: none can be made without validation rows")
            return
        _print_tasks(list(self._verdict.tasks.values()))
        for line in told(self._verdict.findings):
            print(line)
        if not self._verdict.findings:
            print(f"findings: none{_praise(list(self._verdict.tasks.values()))}")


def _praise(tasks: list[TaskQuality]) -> str:
    """What may be said where nothing was found: a score that is not defined, or of few rows, is no good one."""
    unknown = [one.task for one in tasks if one.few or one.score is None or one.score.low is None]
    if unknown:
        return f"; nothing is known of {', '.join(unknown)}"
    return "; every task beats a constant, and no linear model is better"


def _print_tasks(tasks: list[TaskQuality]) -> None:
    table = Table(title="beside a linear model, validation rows", title_justify="left", box=None, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    table.add_column("task", overflow="fold")
    for column in ("rows", "metric", "network", "linear", "ahead by"):
        table.add_column(column, justify="right", overflow="fold")
    for one in tasks:
        score = None if one.score is None else one.score.value
        ahead = None if one.ahead is None else one.ahead.value
        table.add_row(
            one.task,
            number(one.rows),
            one.metric,
            number(score) + _half(one.score),
            number(one.linear),
            "–" if ahead is None else f"{ahead:+.4f}{_half(one.ahead)}",
        )
    Console().print(table, "")


def _half(interval: Interval | None) -> str:
    """Half of a 95 % interval."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f" ± {half_width(interval):.4f}"
