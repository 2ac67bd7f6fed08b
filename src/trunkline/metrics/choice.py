"""Selected epoch, task by task: its score there beside that of the epoch which is best for it alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final


@final
@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the selected epoch costs a task.

    Attributes:
        task: its name.
        metric: its headline metric, higher is better.
        score: on the validation rows at the selected epoch; None where it is not defined.
        best: the highest of all epochs.
        best_epoch: the first that has it, from 1.
    """

    task: str
    metric: str
    score: float | None
    best: float
    best_epoch: int

    @property
    def paid(self) -> float | None:
        """How far the selected epoch lies below the task's best one; None where it has no score."""
        return None if self.score is None else self.best - self.score

    @property
    def told(self) -> str:
        """`dwell 2 (spearman 0.2401, 0.0150 more)`."""
        short = self.metric.replace("_", " ")
        if self.paid is None:
            return f"{self.task} {self.best_epoch} ({short} {self.best:.4f}, not defined at the selected one)"
        more = f", {self.paid:.4f} more" if self.paid else ""
        return f"{self.task} {self.best_epoch} ({short} {self.best:.4f}{more})"


def choices(epochs: Sequence[Mapping[str, Any]], headlines: Mapping[str, str], selected: int | None) -> list[Choice]:
    """For each task with a score, what the selected epoch gives it and which epoch it would have had by itself.

    Args:
        epochs: lines of a history that hold `epoch`, from 0, and `valid`.
        headlines: by task, its headline metric.
        selected: the epoch, from 1; None where none was.
    """
    found = []
    for task, metric in headlines.items():
        scores = {line["epoch"] + 1: ((line["valid"] or {}).get(task) or {}).get(metric) for line in epochs}
        known = {epoch: score for epoch, score in scores.items() if score is not None}
        if known and selected is not None:
            best = max(known, key=lambda epoch: (known[epoch], -epoch))
            found.append(
                Choice(task=task, metric=metric, score=scores.get(selected), best=known[best], best_epoch=best)
            )
    return found
