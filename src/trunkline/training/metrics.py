"""How good the estimates are, over the same observed rows as the loss; computed by torchmetrics."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_calibration_error,
    multiclass_accuracy,
    multiclass_auroc,
)
from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, r2_score, spearman_corrcoef

from trunkline.errors import UserError, did_you_mean
from trunkline.tasks import Binary, Multiclass, Task

Scores = dict[str, dict[str, float | int | None]]
"""`{task: {metric: value}}`; None where a metric is not defined (one class only, a constant label)."""

HIGHER_IS_BETTER = {
    "auc": True,
    "average_precision": True,
    "accuracy": True,
    "macro_auc": True,
    "r2": True,
    "spearman": True,
    "log_loss": False,
    "normalized_entropy": False,
    "ece": False,
    "rmse": False,
    "mae": False,
}
"""Metrics that can select a model. `calibration` cannot: its best value is 1."""


def score(task: Task, raw: Tensor, label: Tensor, weight: Tensor | None = None) -> dict[str, float | int | None]:
    """All metrics of one task, and the number of rows they are taken over.

    Rows whose label is NaN or whose weight is 0 are left out; the weights' size plays no part here.

    Args:
        task: the task, with its label units.
        raw: `[N, outputs]`.
        label: `[N]`.
        weight: `[N]`, if the task has row weights.
    """
    observed = ~label.isnan() if weight is None else ~label.isnan() & (weight > 0)
    raw, label = raw[observed].double(), label[observed].double()
    if isinstance(task, Binary):
        values = _binary(task, raw, label)
    elif isinstance(task, Multiclass):
        values = _multiclass(task, raw, label)
    else:
        values = _regression(task, raw, label)
    assert set(values) == set(task.metrics)
    return {**values, "rows": len(label)}


def selection(select: str, tasks: Sequence[Task]) -> Callable[[Scores], float | None]:
    """A function from validation scores to one number, higher is better, that picks the best epoch.

    Args:
        select: `mean` (over every task's headline metric), `mean_<metric>` (over the tasks that have it), or
            `<task>.<metric>`.
        tasks: the tasks.

    Raises:
        UserError: `select` names no metric of these tasks.
    """
    if select == "mean":
        chosen = [(task.name, task.headline) for task in tasks]
    elif select.startswith("mean_"):
        chosen = [(task.name, select[5:]) for task in tasks if select[5:] in task.metrics]
    else:
        name, _, metric = select.partition(".")
        chosen = [(task.name, metric) for task in tasks if task.name == name and metric in task.metrics]
    if not chosen or any(metric not in HIGHER_IS_BETTER for _, metric in chosen):
        metrics = dict.fromkeys(metric for task in tasks for metric in task.metrics if metric in HIGHER_IS_BETTER)
        known = ["mean", *(f"mean_{metric}" for metric in metrics)]
        known += [f"{task.name}.{metric}" for task in tasks for metric in task.metrics if metric in metrics]
        hint = did_you_mean(select, known)
        raise UserError(f"training.select: {select!r} is no score of these tasks{hint} (known: {', '.join(known)})")

    def total(scores: Scores) -> float | None:
        values = []
        for name, metric in chosen:
            value = scores[name][metric]
            if value is not None:
                values.append(value if HIGHER_IS_BETTER[metric] else -value)
        return sum(values) / len(values) if values else None

    return total


def _binary(task: Task, raw: Tensor, label: Tensor) -> Mapping[str, float | None]:
    if not len(label):
        return dict.fromkeys(task.metrics)
    estimate, target = task.estimate(raw), label.long()
    rate, log_loss = float(label.mean()), float(task.loss(raw, label).mean())
    both = 0 < rate < 1
    entropy = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)) if both else 0.0
    return {
        # The logits rank rows whose probabilities round to the same number.
        "auc": float(binary_auroc(_ranked(raw[:, 0]), target)) if both else None,
        "log_loss": log_loss,
        "normalized_entropy": log_loss / entropy if both else None,
        "calibration": float(estimate.mean()) / rate if rate > 0 else None,
        "ece": float(binary_calibration_error(estimate, target, n_bins=15, norm="l1")),
        "average_precision": float(binary_average_precision(_ranked(raw[:, 0]), target)) if rate > 0 else None,
    }


def _multiclass(task: Task, raw: Tensor, label: Tensor) -> Mapping[str, float | None]:
    if not len(label):
        return dict.fromkeys(task.metrics)
    estimate, target, classes = task.estimate(raw), label.long(), task.outputs
    present = len(set(target.tolist())) == classes
    return {
        "accuracy": float(multiclass_accuracy(estimate, target, num_classes=classes, average="micro")),
        "log_loss": float(task.loss(raw, label).mean()),
        "macro_auc": float(multiclass_auroc(estimate, target, num_classes=classes)) if present else None,
    }


def _regression(task: Task, raw: Tensor, label: Tensor) -> Mapping[str, float | None]:
    if not len(label):
        return dict.fromkeys(task.metrics)
    estimate = task.estimate(raw)
    varied = len(label) > 1 and bool((label != label[0]).any())
    ranked = varied and bool((estimate != estimate[0]).any())
    return {
        "rmse": math.sqrt(float(mean_squared_error(estimate, label))),
        "mae": float(mean_absolute_error(estimate, label)),
        # torchmetrics subtracts squares of means: labels far from 0 would lose their digits.
        "r2": float(r2_score(estimate - label.mean(), label - label.mean())) if varied else None,
        "spearman": float(spearman_corrcoef(estimate, label)) if ranked else None,
    }


def _ranked(values: Tensor) -> Tensor:
    """Scores in [0, 1] with the same order and the same ties, which torchmetrics takes as they are."""
    inverse: Tensor = torch.unique(values, return_inverse=True)[1]
    return inverse.double() / max(int(inverse.max()), 1)
