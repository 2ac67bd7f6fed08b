"""Scored rows: the observed rows of a task, and what several metrics need of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, final, runtime_checkable

from torch import Tensor

from trunkline.metrics.order import Order
from trunkline.tasks import Task


@runtime_checkable
class Ladder(Protocol):
    """A task whose label is one of K places, and whose estimate is a number all the same."""

    @property
    def numbers(self) -> tuple[float, ...]:
        """What the estimate counts in, by place."""

    def probabilities(self, raw: Tensor) -> Tensor:
        """Probability of each place: raw `[N, outputs]` -> `[N, K]`."""


@final
@dataclass(frozen=True)
class Scored:
    """The observed rows of a task; all else is computed once, when a metric asks for it.

    Attributes:
        task: the task, with its label units.
        raw: `[N, outputs]` float64.
        label: `[N]` float64 without NaN; places 0, 1, … of a leveled kind.
    """

    task: Task
    raw: Tensor
    label: Tensor

    @cached_property
    def estimate(self) -> Tensor:
        """`[N]`, or `[N, classes]`, in the label's own unit."""
        return self.task.estimate(self.raw)

    @cached_property
    def target(self) -> Tensor:
        """The label in the estimate's unit `[N]`: the number at its place, where labels are places."""
        if not isinstance(self.task, Ladder):
            return self.label
        return self.label.new_tensor(self.task.numbers)[self.label.long()]

    @cached_property
    def probabilities(self) -> Tensor:
        """Probability of each of K classes or places `[N, K]`."""
        return self.task.probabilities(self.raw) if isinstance(self.task, Ladder) else self.estimate

    @cached_property
    def loss(self) -> float:
        """The mean of the task's loss, in nats."""
        return float(self.task.loss(self.raw, self.label).mean())

    @cached_property
    def estimate_order(self) -> Order:
        """The order of the estimates, where there is one a row."""
        return Order.of(self.estimate)

    @cached_property
    def target_order(self) -> Order:
        """The order of the labels, in the estimate's unit."""
        return Order.of(self.target)

    @cached_property
    def logit_order(self) -> Order:
        """The order of the first raw output: the logit of 1, or of a label above 0.

        Logits order rows whose probabilities round to the same number.
        """
        return Order.of(self.raw[:, 0])
