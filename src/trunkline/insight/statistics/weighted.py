"""Weighted headline metrics: for many weightings of the rows at once, from one sort.

Each maker looks at N rows once and gives a function from weights `[N, B]`, in which column b says how often each row
counts in the b-th resample, to the metric of each resample `[B]`; NaN where it is not defined there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Weighted = Callable[[Numbers], Numbers]
_BLOCK = 64


def auc(score: Numbers, label: Numbers) -> Weighted:
    """Probability that a row with a label above 0 has a higher score `[N]` than another; ties count half."""
    order = _Sorted.of(score)
    positive = (label > 0)[order.order][:, None]

    def metric(weights: Numbers) -> Numbers:
        below = weights.take(order.order, axis=0)
        above = below * positive
        below -= above
        above, below = order.grouped(above), order.grouped(below)
        until = _cumulated(below)
        won = np.einsum("gb,gb->b", above, until)
        if order.ties:
            won -= np.einsum("gb,gb->b", above, below) / 2
        return _ratio(won, above.sum(0) * until[-1])

    return metric


def macro_auc(probabilities: Numbers, label: Numbers) -> Weighted:
    """The mean over the classes that occur of the AUC of one class `[N, K]` against the rest."""
    each = [auc(column, (label == k).astype(float)) for k, column in enumerate(probabilities.T)]

    def metric(weights: Numbers) -> Numbers:
        areas = np.array([one(weights) for one in each])
        defined = ~np.isnan(areas)
        return _ratio(np.where(defined, areas, 0.0).sum(0), defined.sum(0).astype(np.float64))

    return metric


def r2(estimate: Numbers, label: Numbers) -> Weighted:
    """1 - squared error over that of the labels' own weighted mean."""
    centred = label - label.mean()
    errors = np.square(estimate - label)

    def metric(weights: Numbers) -> Numbers:
        total = weights.sum(0)
        spread = np.square(centred) @ weights - np.square(centred @ weights) / np.maximum(total, 1)
        spread[spread <= 1e-12 * np.square(centred).max(initial=0) * total] = 0  # a constant label, but for rounding
        return 1 - _ratio(errors @ weights, spread)

    return metric


def spearman(estimate: Numbers, label: Numbers) -> Weighted:
    """Correlation of the ranks of estimate and label."""
    one, other = _Sorted.of(estimate), _Sorted.of(label)

    def metric(weights: Numbers) -> Numbers:
        first, second = one.ranks(weights), other.ranks(weights)
        spreads = [np.einsum("nb,nb,nb->b", weights, ranks, ranks) for ranks in (first, second)]
        return _ratio(np.einsum("nb,nb,nb->b", weights, first, second), np.sqrt(spreads[0] * spreads[1]))

    return metric


def gini(estimate: Numbers, label: Numbers) -> Weighted:
    """Covariance of the label with the ranks of the estimates, over that with its own ranks."""
    one, other = _Sorted.of(estimate), _Sorted.of(label)

    def metric(weights: Numbers) -> Numbers:
        gained, most = (np.einsum("n,nb,nb->b", label, weights, order.ranks(weights)) for order in (one, other))
        return _ratio(gained, most)

    return metric


MAKERS: dict[str, Callable[[Numbers, Numbers], Weighted]] = {
    "auc": auc,
    "macro_auc": macro_auc,
    "r2": r2,
    "spearman": spearman,
    "gini": gini,
}
"""By the metric's name; every task's headline is among them."""


@final
@dataclass(frozen=True)
class _Sorted:
    """N values in order, equal ones in G groups.

    Attributes:
        order: `[N]` positions, smallest value first.
        starts: `[G]` where in that order each group begins.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, values: Numbers) -> "_Sorted":
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        return cls(order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])))

    @cached_property
    def place(self) -> NDArray[np.intp]:
        """The group of each value `[N]`."""
        places = np.empty(len(self.order), dtype=np.intp)
        places[self.order] = np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.order)))
        return places

    @property
    def ties(self) -> bool:
        """Whether two values are equal."""
        return len(self.starts) < len(self.order)

    def grouped(self, ordered: Numbers) -> Numbers:
        """Sums over each group `[G, B]` of what stands in order `[N, B]`."""
        return np.add.reduceat(ordered, self.starts, axis=0) if self.ties else ordered

    def ranks(self, weights: Numbers) -> Numbers:
        """Midranks of the values `[N, B]` around their weighted mean 0, each row counted as often as it weighs."""
        groups = self.grouped(weights.take(self.order, axis=0))
        ranks = _cumulated(groups)
        groups += ranks[-1]
        groups /= 2
        ranks -= groups
        return ranks.take(self.place, axis=0)


_UNTIL = np.tril(np.ones((_BLOCK, _BLOCK)))


def _cumulated(values: Numbers) -> Numbers:
    """Sums of `[N, B]` over all rows up to each; products of matrices take an eighth of the time of `cumsum`."""
    whole, result = len(values) // _BLOCK * _BLOCK, np.empty_like(values)
    blocks = result[:whole].reshape(-1, _BLOCK, values.shape[1])
    np.matmul(_UNTIL, values[:whole].reshape(blocks.shape), out=blocks)
    blocks[1:] += blocks[:-1, -1].cumsum(0)[:, None]
    np.cumsum(values[whole:], axis=0, out=result[whole:])
    if whole:
        result[whole:] += result[whole - 1]
    return result


def _ratio(above: Numbers, below: Numbers) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)
