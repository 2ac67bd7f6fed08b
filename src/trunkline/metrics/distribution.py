"""Distribution metrics, of what a task says beside its estimate: how the label spreads."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from trunkline.metrics.metric import Metric
from trunkline.metrics.scored import Scored
from trunkline.tasks import Task


@runtime_checkable
class Quantiles(Protocol):
    """A task that estimates quantiles."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Of the quantiles, above 0 and below 1."""

    def quantiles(self, raw: Tensor) -> Tensor:
        """In the label's unit: raw `[N, outputs]` -> `[N, levels]`."""


@runtime_checkable
class Density(Protocol):
    """A task that estimates a density."""

    def log_density(self, raw: Tensor, label: Tensor) -> Tensor:
        """Of the label in its own unit, with all constants: raw `[N, outputs]`, label `[N]` -> `[N]`."""


class Pinball(Metric):
    """Mean over rows and levels of the pinball loss, in the label's unit (Koenker and Bassett 1978)."""

    higher_is_better = False

    def compute(self, scored: Scored) -> float:
        """See `Metric`."""
        task = scored.task
        if not isinstance(task, Quantiles):
            raise TypeError(f"pinball: a {task.kind} task has no quantiles")
        error, level = scored.target[:, None] - task.quantiles(scored.raw), scored.raw.new_tensor(task.levels)
        return float(torch.maximum(level * error, (level - 1) * error).mean())

    def suits(self, task: Task) -> bool:
        """Where there are quantiles."""
        return isinstance(task, Quantiles)


class Coverage(Metric):
    """Share of the labels in the task's interval, its ends included; best is the share that it is meant to hold."""

    higher_is_better = None

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        ends = scored.task.interval(scored.raw)
        return (
            None if ends is None else float(((ends[0] <= scored.target) & (scored.target <= ends[1])).double().mean())
        )

    def suits(self, task: Task) -> bool:
        """Where the kind reports it anyway."""
        return "coverage" in task.metrics


class NLL(Metric):
    """Mean negative log-density of the label in its own unit, in nats."""

    higher_is_better = False

    def compute(self, scored: Scored) -> float:
        """See `Metric`."""
        task = scored.task
        if not isinstance(task, Density):
            raise TypeError(f"nll: a {task.kind} task has no density in the label's unit")
        return -float(task.log_density(scored.raw, scored.label).mean())

    def suits(self, task: Task) -> bool:
        """Where there is a density."""
        return isinstance(task, Density)
