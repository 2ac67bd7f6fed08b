"""Ranking metrics: nothing changes them that keeps the order of the estimates."""

import math

import torch
from torch import Tensor

from trunkline.metrics.metric import ClassMetric, LogitMetric, ValueMetric
from trunkline.metrics.order import Order
from trunkline.metrics.scored import Scored


class AUC(LogitMetric):
    """Probability that a row with label 1 is above one with label 0."""

    higher_is_better = True

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        return _above(scored.logit_order, scored.label > 0)


class AveragePrecision(LogitMetric):
    """Mean precision at the places of the rows with label 1."""

    higher_is_better = True

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        positive = scored.label > 0
        if not positive.any():
            return None
        # Over the distinct scores from the highest down: precision there, weighted by the share of positives there.
        order = scored.logit_order
        here = torch.bincount(order.place, positive.double(), minlength=len(order.counts)).flip(0)
        precision = here.cumsum(0) / order.counts.flip(0).cumsum(0)
        return float(here @ precision / here.sum())


class MacroAUC(ClassMetric):
    """Mean over the classes that occur of the AUC of one class against the rest."""

    higher_is_better = True

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        given = scored.probabilities
        areas = [_above(Order.of(given[:, k]), scored.label == k) for k in range(given.shape[1])]
        known = [area for area in areas if area is not None]
        return math.fsum(known) / len(known) if known else None


class AUCPositive(LogitMetric):
    """AUC of the estimated probability of a label above 0."""

    higher_is_better = True

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        return _above(scored.logit_order, scored.target > 0)


class Spearman(ValueMetric):
    """Correlation of the ranks of estimate and label (Spearman 1904)."""

    higher_is_better = True

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        if not (scored.target_order.varied and scored.estimate_order.varied):
            return None
        one, other = _centred(scored.estimate_order), _centred(scored.target_order)
        return float((one @ other / (one.norm() * other.norm())).clamp(-1, 1))


class Gini(ValueMetric):
    """Area between the curve of label gained by descending estimate and the diagonal, over the best order's.

    2·AUC-1 for labels 0 and 1 (Frees et al. 2011).
    """

    higher_is_better = True

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        if not scored.target_order.varied:
            return None
        # The area between a curve of gains and the diagonal is cov(label, rank) but for a factor that cancels.
        label = scored.target - scored.target.mean()
        return float((label @ _centred(scored.estimate_order)) / (label @ _centred(scored.target_order)))


class NDCG(ValueMetric):
    """Label gained by descending estimate, discounted by log2(1 + place), over the best order's.

    All rows are one list (Järvelin and Kekäläinen 2002).
    """

    higher_is_better = True

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        if not scored.target_order.varied or bool((scored.target < 0).any()):
            return None
        return _gain(scored.target, scored.estimate_order) / _gain(scored.target, scored.target_order)


def _above(order: Order, positive: Tensor) -> float | None:
    """Probability that a positive row `[N]` is above another in order, half a tie: from ranks, in 64 bits."""
    ones, rows = int(positive.sum()), len(positive)
    if not 0 < ones < rows:
        return None
    return float((order.ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * (rows - ones)))


def _centred(order: Order) -> Tensor:
    """Ranks `[N]` around 0."""
    return order.ranks - (len(order.place) + 1) / 2


def _gain(gain: Tensor, order: Order) -> float:
    """Discounted cumulative gain of `[N]`, the highest in order first; equal values share their mean discount."""
    discounts = 1 / torch.arange(2, len(gain) + 2, dtype=gain.dtype, device=gain.device).log2()
    before = torch.cat([discounts.new_zeros(1), discounts.cumsum(0)])
    above = len(gain) - order.counts.cumsum(0)
    share = (before[above + order.counts] - before[above]) / order.counts
    return float(gain @ share[order.place])
