"""The base classes of metrics."""

from abc import ABC, abstractmethod
from typing import ClassVar

from trunkline.metrics.scored import Ladder, Scored
from trunkline.tasks import Task


class Metric(ABC):
    """A number that says how good the estimates of one task are; the first line of its docstring says what it is.

    `higher_is_better` is None if neither higher nor lower is, so that it cannot select a model.
    """

    higher_is_better: ClassVar[bool | None]

    @abstractmethod
    def compute(self, scored: Scored) -> float | None:
        """The value over one row or more, from what is `[N]` there; None where it is not defined."""

    def suits(self, task: Task) -> bool:
        """Whether it can be computed for such a task; for every task unless it says otherwise."""
        return True


class ValueMetric(Metric):
    """A metric of estimates that are one number a row."""

    def suits(self, task: Task) -> bool:
        """Not where the estimate is a probability for each class."""
        return not task.leveled or isinstance(task, Ladder)


class ClassMetric(Metric):
    """A metric of probabilities of classes or places."""

    def suits(self, task: Task) -> bool:
        """Where labels are levels."""
        return task.leveled


class ProbabilityMetric(Metric):
    """A metric of the estimated probability of a label 1."""

    def suits(self, task: Task) -> bool:
        """Where the kind reports one of this sort anyway."""
        return "normalized_entropy" in task.metrics


class LogitMetric(Metric):
    """A metric of the first raw output where that is the logit of a label above 0."""

    def suits(self, task: Task) -> bool:
        """Where the kind reports one of this sort anyway."""
        return bool({"auc", "auc_positive"} & set(task.metrics))
