"""Reliability curves and distributions of estimates beside labels, kept with the run as a few hundred numbers."""

import math
from typing import Any

import torch
from torch import Tensor

from trunkline.tasks import Binary, Multiclass, Task

POINTS = 201
"""Points of a curve, ends included."""
BINS = 10
"""Groups of equally many rows, by estimate."""
BARS = 41
"""Bars of a histogram."""


def curves(task: Task, raw: Tensor, label: Tensor, weight: Tensor | None = None) -> dict[str, Any]:
    """What there is to draw of one task, as plain values; empty where no row is observed.

    Args:
        task: the task.
        raw: `[N, outputs]` from which estimates are made, joint and calibrated.
        label: `[N]`.
        weight: `[N]`, if the task has row weights; rows of weight 0 are left out.

    Returns:
        Binary: `roc`, `precision_recall`, `calibration`, `lift`. Multiclass: `confusion`, a row a true class. Others:
        `calibration` (mean label by mean estimate), `lift` and `residuals`.
    """
    observed = ~label.isnan() if weight is None else ~label.isnan() & (weight > 0)
    raw, label = raw[observed].double(), label[observed].double()
    if not len(label):
        return {}
    if isinstance(task, Multiclass):
        return {"confusion": _confusion(task.estimate(raw), label)}
    estimate = task.estimate(raw)
    numbers = getattr(task, "numbers", None)
    if numbers is not None:  # an ordinal label is a place
        label = torch.tensor(numbers, dtype=torch.float64)[label.long()]
    found = {"calibration": _groups(estimate, label), "lift": _lift(estimate, label)}
    if isinstance(task, Binary):
        return {**_rates(raw[:, 0], label), **found}
    return {**found, "residuals": _histogram(label - estimate)}


def _rates(score: Tensor, label: Tensor) -> dict[str, Any]:
    """ROC and precision-recall curves, at scores from the highest to the lowest."""
    order = score.argsort(descending=True)
    ranked, hits = score[order], label[order].cumsum(0)
    last = torch.cat([ranked.diff() != 0, torch.ones(1, dtype=torch.bool)])  # of rows that share their score
    seen = torch.arange(1, len(label) + 1, dtype=torch.float64)[last]
    hits, positives = hits[last], float(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return {}
    false, true = (seen - hits) / negatives, hits / positives
    zero = torch.zeros(1, dtype=torch.float64)
    kept = _spread(torch.cat([zero, false]) + torch.cat([zero, true]))
    return {
        "roc": {"false": _plain(torch.cat([zero, false])[kept]), "true": _plain(torch.cat([zero, true])[kept])},
        "precision_recall": {
            "recall": _plain(true[kept[1:] - 1]),
            "precision": _plain((hits / seen)[kept[1:] - 1]),
            "base": positives / len(label),
        },
    }


def _spread(way: Tensor) -> Tensor:
    """Places `[<= POINTS]` at even steps of what rises along a curve, the first and the last among them."""
    steps = torch.linspace(0, float(way[-1]), POINTS, dtype=torch.float64)
    places: Tensor = torch.unique(torch.searchsorted(way, steps).clamp(max=len(way) - 1))
    return places


def _groups(estimate: Tensor, label: Tensor) -> dict[str, Any]:
    """Mean estimate and mean label, with its standard error, in groups of rows that rise by estimate."""
    parts = estimate.argsort().tensor_split(min(BINS, len(label)))
    return {
        "estimate": [float(estimate[part].mean()) for part in parts],
        "label": [float(label[part].mean()) for part in parts],
        "error": [float(label[part].std(correction=0)) / math.sqrt(len(part)) for part in parts],
        "rows": [len(part) for part in parts],
    }


def _lift(estimate: Tensor, label: Tensor) -> list[float] | None:
    """Mean label in each group of rows, from the highest estimates to the lowest, over the mean of all."""
    mean = float(label.mean())
    if not mean:
        return None
    return [
        float(label[part].mean()) / mean for part in estimate.argsort(descending=True).tensor_split(BINS) if len(part)
    ]


def _histogram(values: Tensor) -> dict[str, Any]:
    """How many rows between the edges; the outermost hundredth at either end is counted at the ends."""
    low, high = (float(torch.quantile(values[:: 1 + len(values) // 1_000_000], q)) for q in (0.01, 0.99))
    if not low < high:
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(values.clamp(low, high), bins=BARS, min=low, max=high)
    return {"edges": _plain(torch.linspace(low, high, BARS + 1, dtype=torch.float64)), "rows": _plain(counts)}


def _confusion(estimate: Tensor, label: Tensor) -> list[list[int]]:
    classes = estimate.shape[1]
    pairs = label.long() * classes + estimate.argmax(dim=1)
    found: list[list[int]] = torch.bincount(pairs, minlength=classes**2).view(classes, classes).tolist()
    return found


def _plain(values: Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]
