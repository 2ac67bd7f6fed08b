"""Single-feature scores: how well each column predicts a task all by itself."""

import numpy as np
import torch
from numpy.typing import NDArray

from trunkline.insight.diagnosis.measures.keys import KeyedColumn, Keys
from trunkline.metrics.order import Order
from trunkline.nn.embedding import UNSEEN
from trunkline.tables import Batch
from trunkline.tasks import Binary, Multiclass, Task

PRIOR = 5.0
"""Rows at the overall mean that each key's mean starts from: a key with one row says little."""
RARE = 20
"""Keys with one training row stand for keys with none, if there are so many of them."""
LEAST = 20
"""Held-out rows, and of a binary label rows of either value, below which a score is luck."""
MOST_CLASSES = 20
"""Of a multiclass label that are looked at."""

Floats = NDArray[np.float64]


def one_feature_scores(
    column: KeyedColumn, part: str, tasks: tuple[Task, ...], rows: dict[str, Batch]
) -> dict[str, float]:
    """`{task: score}` on held-out rows of the means of the label by key over the training rows.

    The score is the AUC of a binary task (the better of both directions is the right one, as means are learnt), the
    mean AUC of a multiclass task's classes, and otherwise R² on the ranks of the label, which no long tail bends. A
    task with too few rows to tell has none.

    Args:
        column: the column in `train` and the part.
        part: of the held-out rows.
        tasks: the tasks.
        rows: the rows of both parts.
    """
    scores = {}
    for task in tasks:
        train = rows["train"].labels[task.name].numpy().astype(np.float64)
        held = rows[part].labels[task.name].numpy().astype(np.float64)
        if isinstance(task, Binary):
            score = _auc(_estimates(column, part, train), held)
        elif isinstance(task, Multiclass):
            score = _mean_auc(column, part, train, held)
        else:
            score = _rank_r2(column, part, train, held)
        if score is not None:
            scores[task.name] = score
    return scores


def _estimates(column: KeyedColumn, part: str, target: Floats) -> Floats:
    """`[N]` mean training target of each held-out row's key; over its list, where a row has a list of keys."""
    train, held = column.parts["train"], column.parts[part]
    label = target if train.rows is None else target[train.rows]
    known = ~np.isnan(label)
    overall = float(label[known].mean()) if known.any() else 0.0
    keys, place, counts = np.unique(train.values[known], return_inverse=True, return_counts=True)
    sums = np.bincount(place, weights=label[known], minlength=len(keys))
    single = sums[counts == 1]
    unknown = (single.sum() + PRIOR * overall) / (len(single) + PRIOR) if len(single) >= RARE else overall
    means = (sums + PRIOR * overall) / (counts + PRIOR)
    if not len(keys):
        return np.full(held.count, overall)
    found = np.minimum(np.searchsorted(keys, held.values), len(keys) - 1)
    estimates = np.where(keys[found] == held.values, means[found], overall)
    if column.kind in ("categorical", "bag", "sequence"):
        estimates = np.where((keys[found] != held.values) & (held.values == UNSEEN), unknown, estimates)
    return estimates if held.rows is None else _list_means(held, estimates, overall)


def _list_means(held: Keys, estimates: Floats, overall: float) -> Floats:
    assert held.rows is not None
    lengths = np.bincount(held.rows, minlength=held.count)
    sums = np.bincount(held.rows, weights=estimates, minlength=held.count)
    return np.where(lengths > 0, sums / np.maximum(lengths, 1), overall)


def _auc(estimates: Floats, label: Floats) -> float | None:
    known = ~np.isnan(label)
    positive = label[known] > 0
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if min(ones, zeros) < LEAST:
        return None
    ranks = Order.of(torch.from_numpy(estimates[known])).ranks.numpy()
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _mean_auc(column: KeyedColumn, part: str, train: Floats, held: Floats) -> float | None:
    classes = np.unique(held[~np.isnan(held)])[:MOST_CLASSES]
    scores = []
    for one in classes:
        of_class = [np.where(np.isnan(label), np.nan, label == one) for label in (train, held)]
        scores.append(_auc(_estimates(column, part, of_class[0]), of_class[1]))
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else None


def _rank_r2(column: KeyedColumn, part: str, train: Floats, held: Floats) -> float | None:
    known, there = ~np.isnan(held), ~np.isnan(train)
    if known.sum() < LEAST or not there.any():
        return None
    ordered = np.sort(train[there])

    def ranks(label: Floats) -> Floats:
        low, high = np.searchsorted(ordered, label, side="left"), np.searchsorted(ordered, label, side="right")
        return np.where(np.isnan(label), np.nan, (low + high) / (2 * len(ordered)))

    target = ranks(held)[known]
    spread = float(((target - target.mean()) ** 2).sum())
    if spread == 0:
        return None
    return 1 - float(((_estimates(column, part, ranks(train))[known] - target) ** 2).sum()) / spread
