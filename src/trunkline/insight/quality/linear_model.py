"""Linear model of one task: what a network has to beat on the same columns."""

import math
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from trunkline.tables import Batch
from trunkline.tasks import Task

RIDGES = (300.0, 30.0, 3.0)
"""Strengths of the penalty that are tried, in rows: as if so many rows spoke for every weight being 0."""
ROUNDS = 20
"""Of L-BFGS for each of them, the last one's weights being the next one's start."""


@final
class LinearModel:
    """Generalised linear model: the task's own likelihood over ids one-hot, lists as shares, and numbers as encoded.

    Ids that did not occur among the rows it was fitted on weigh nothing. Weights have a ridge penalty, of the strength
    that serves the validation rows best, and the bias has none (McCullagh and Nelder 1989, Generalized Linear Models;
    Hoerl and Kennard 1970, Ridge Regression).

    Args:
        task: the task, with its label units.
        train: rows to fit; those without the task's label are left out.
        valid: rows that choose the penalty.
        ridges: strengths to choose from, the strongest first.

    Attributes:
        ridge: the strength chosen; infinite where a constant is as good as any of them.
        constant: raw outputs `[outputs]` of the best constant.
        raw: `[N, outputs]` float64 of the validation rows, those without a label too.

    Raises:
        ValueError: no row of either part has a label.
    """

    def __init__(self, task: Task, train: Batch, valid: Batch, *, ridges: Sequence[float] = RIDGES) -> None:
        self._task = task
        observed, label, weight = _observed(task, train)
        known, target, importance = _observed(task, valid)
        if not len(label) or not len(target):
            raise ValueError(f"task {task.name}: no row with a label")
        self._columns = _Columns(train, observed)
        x, held = self._columns(train.take(observed)), self._columns(valid)
        bias = self._fit(None, label, weight, torch.zeros(task.outputs, dtype=torch.float64), math.inf)
        self.constant = bias
        raw, best = bias.expand(len(valid), -1), self._loss(bias.expand(len(target), -1), target, importance)
        self.ridge, self.raw = math.inf, raw
        flat = torch.cat([bias, torch.zeros(self._columns.width * task.outputs, dtype=torch.float64)])
        for ridge in ridges:
            flat = self._fit(x, label, weight, flat, ridge)
            raw = self._raws(held, flat)
            loss = self._loss(raw[known], target, importance)
            if math.isfinite(loss) and loss < best:
                best, self.ridge, self.raw = loss, ridge, raw

    def _raws(self, x: "_Rows | None", flat: Tensor) -> Tensor:
        outputs = self._task.outputs
        bias = flat[:outputs]
        return bias if x is None else bias + x.times(flat[outputs:].view(-1, outputs))

    def _loss(self, raw: Tensor, label: Tensor, weight: Tensor) -> float:
        return float((self._task.loss(raw, label) * weight).mean())

    def _fit(self, x: "_Rows | None", label: Tensor, weight: Tensor, start: Tensor, ridge: float) -> Tensor:
        """The flat weights, bias first, with the least penalised loss; `start` where the search runs off."""
        flat, outputs = start.clone().requires_grad_(), self._task.outputs
        search = torch.optim.LBFGS([flat], max_iter=ROUNDS, history_size=ROUNDS, line_search_fn="strong_wolfe")

        def objective() -> Tensor:
            weights = flat.detach()
            raw = self._raws(x, weights).expand(len(label), -1).clone().requires_grad_()
            loss = (self._task.loss(raw, label) * weight).mean()
            (slope,) = torch.autograd.grad(loss, raw)
            parts = [slope.sum(0)]
            if x is not None:
                free = weights[outputs:]
                loss = loss + ridge / (2 * len(label)) * free.square().sum()
                parts.append(x.transposed_times(slope).flatten() + ridge / len(label) * free)
            flat.grad = torch.cat(parts)
            return loss.detach()

        with torch.enable_grad():
            search.step(objective)  # type: ignore[no-untyped-call]
        found = flat.detach()
        return found if bool(found.isfinite().all()) else start


@final
class _Rows:
    """Some rows as a sparse matrix `[N, width]`, whose products take a gather and a count.

    Args:
        ids: `[N, C]` places of one-hot columns.
        lists: for each list feature its places `[K]` and offsets `[N + 1]`.
        numbers: `[N, M]`, whose columns stand first.
        width: of the matrix.
    """

    def __init__(
        self, ids: np.ndarray, lists: Sequence[tuple[np.ndarray, np.ndarray]], numbers: np.ndarray, width: int
    ) -> None:
        self._ids, self._numbers, self._width = np.ascontiguousarray(ids.T), numbers, width
        self._lists = []
        for places, offsets in lists:
            lengths = np.diff(offsets)
            self._lists.append((places, np.repeat(np.arange(len(lengths)), lengths), 1 / np.maximum(lengths, 1)))

    def times(self, weights: Tensor) -> Tensor:
        """By `[width, outputs]`, `[N, outputs]`."""
        w = weights.numpy()
        made = self._numbers @ w[: self._numbers.shape[1]]
        for k, column in enumerate(np.ascontiguousarray(w.T)):
            for places in self._ids:
                made[:, k] += column.take(places)
            for places, rows, shares in self._lists:
                made[:, k] += shares * np.bincount(rows, column.take(places), minlength=len(shares))
        return torch.from_numpy(made)

    def transposed_times(self, slope: Tensor) -> Tensor:
        """Its transpose by `[N, outputs]`, `[width, outputs]`."""
        g = slope.numpy()
        made = np.zeros((self._width, g.shape[1]))
        made[: self._numbers.shape[1]] = self._numbers.T @ g
        for k in range(g.shape[1]):
            column = np.ascontiguousarray(g[:, k])
            for places in self._ids:
                made[:, k] += np.bincount(places, column, minlength=self._width)
            for places, rows, shares in self._lists:
                made[:, k] += np.bincount(places, (shares * column).take(rows), minlength=self._width)
        return torch.from_numpy(made)


@final
class _Columns:
    """Places of the ids that occur in some rows, after the numbers; the last place is every other id's.

    It is no id of those rows, so that its weight stays 0 under a penalty.
    """

    def __init__(self, train: Batch, observed: Tensor) -> None:
        rows = train.take(observed)
        start = rows.numbers.shape[1]
        self._ids: list[tuple[np.ndarray, int]] = []
        for values in (*rows.ids.numpy().T, *(one.values.numpy() for one in rows.lists)):
            seen = np.unique(values)
            self._ids.append((seen, start))
            start += len(seen)
        self._other, self.width = start, start + 1

    def __call__(self, rows: Batch) -> _Rows:
        count = rows.ids.shape[1]
        ids = [self._places(values, i) for i, values in enumerate(rows.ids.numpy().T)]
        lists = [(self._places(one.values.numpy(), count + i), one.offsets.numpy()) for i, one in enumerate(rows.lists)]
        stacked = np.stack(ids, axis=1) if ids else np.zeros((len(rows), 0), dtype=np.int64)
        return _Rows(stacked, lists, rows.numbers.double().numpy(), self.width)

    def _places(self, values: np.ndarray, column: int) -> np.ndarray:
        seen, start = self._ids[column]
        if not len(seen):
            return np.full(len(values), self._other, dtype=np.int64)
        places = np.searchsorted(seen, values).clip(max=len(seen) - 1)
        return np.where(seen[places] == values, places + start, self._other).astype(np.int64)


def _observed(task: Task, rows: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Positions `[n]` of the rows that count, their labels and their weights of mean 1."""
    label, weight = rows.labels[task.name].double(), rows.weights.get(task.name)
    counts = ~label.isnan() if weight is None else ~label.isnan() & (weight > 0)
    positions = counts.nonzero()[:, 0]
    used = torch.ones(len(positions), dtype=torch.float64) if weight is None else weight[positions].double()
    return positions, label[positions], used / used.mean() if len(used) else used
