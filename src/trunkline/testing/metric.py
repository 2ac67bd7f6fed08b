"""The contract of metrics."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from trunkline.metrics import Metric, Scored
from trunkline.tasks import Task


def check_metric(build: Callable[[], Metric], task: Task, raw: Tensor, label: Tensor) -> None:
    """Hold a metric to its contract.

    Args:
        build: to a fresh metric, as a config would make it.
        task: one that it suits, with its label units.
        raw: `[N, outputs]`, raw outputs of that task for a few rows.
        label: `[N]` without NaN.

    Raises:
        AssertionError: a property that does not hold.
    """
    metric, raw, label = build(), raw.double(), label.double()
    assert metric.higher_is_better in (True, False, None), "higher_is_better is neither True, False nor None"
    assert metric.suits(task) is True, f"suits refuses the {task.kind} task that was given"
    value = _value(metric, task, raw, label)
    for seed in range(3):
        order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))
        moved = _value(metric, task, raw[order], label[order])
        assert _same(moved, value), f"{value} became {moved} when the rows came in another order"
    assert _value(metric, task, raw, label) == value, "the same rows got another value the second time"
    for row in range(min(3, len(label))):
        _value(metric, task, raw[row : row + 1], label[row : row + 1])
    _value(metric, task, raw, label[:1].expand(len(label)))


def _value(metric: Metric, task: Task, raw: Tensor, label: Tensor) -> float | None:
    kept = raw.clone(), label.clone()
    value = metric.compute(Scored(task, raw, label))
    assert torch.equal(raw, kept[0]), "the raw outputs were changed"
    assert torch.equal(label, kept[1]), "the labels were changed"
    assert value is None or type(value) is float, f"the value is {value!r}, no float; None where it is not defined"
    assert value is None or math.isfinite(value), f"the value is {value}; None where it is not defined"
    return value


def _same(one: float | None, other: float | None) -> bool:
    # Sums over the rows in another order: their rounding, and room for what is divided by.
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
