"""Metrics of what a task says beside its estimate: how the label spreads."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from trunkline.metrics.metric import Metric
from trunkline.metrics.scored import Scored


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


def _pinball(scored: Scored) -> float:
    task = scored.task
    if not isinstance(task, Quantiles):
        raise TypeError(f"pinball: a {task.kind} task has no quantiles")
    error, level = scored.target[:, None] - task.quantiles(scored.raw), scored.raw.new_tensor(task.levels)
    return float(torch.maximum(level * error, (level - 1) * error).mean())


def _coverage(scored: Scored) -> float | None:
    ends = scored.task.interval(scored.raw)
    return None if ends is None else float(((ends[0] <= scored.target) & (scored.target <= ends[1])).double().mean())


def _nll(scored: Scored) -> float:
    task = scored.task
    if not isinstance(task, Density):
        raise TypeError(f"nll: a {task.kind} task has no density in the label's unit")
    return -float(task.log_density(scored.raw, scored.label).mean())


DISTRIBUTION = {
    "pinball": Metric(
        "mean over rows and levels of the pinball loss, in the label's unit (Koenker and Bassett 1978)",
        higher_is_better=False,
        compute=_pinball,
    ),
    "coverage": Metric(
        "share of the labels in the task's interval, its ends included; best is the share that it is meant to hold",
        higher_is_better=None,
        compute=_coverage,
    ),
    "nll": Metric(
        "mean negative log-density of the label in its own unit, in nats",
        higher_is_better=False,
        compute=_nll,
    ),
}
"""Metrics of distributions, by name."""
