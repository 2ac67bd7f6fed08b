"""Classification metrics, of estimated probabilities and the classes they speak for."""

import math

import torch

from trunkline.metrics.metric import ClassMetric, Metric, ProbabilityMetric
from trunkline.metrics.scored import Scored
from trunkline.tasks import Task

BINS = 15
"""Of the calibration error, of equal width."""


class LogLoss(Metric):
    """Mean negative log-probability of the label, in nats."""

    higher_is_better = False

    def compute(self, scored: Scored) -> float:
        """See `Metric`."""
        return scored.loss

    def suits(self, task: Task) -> bool:
        """Where estimates are probabilities."""
        return task.leveled or "normalized_entropy" in task.metrics


class NormalizedEntropy(ProbabilityMetric):
    """The log loss over that of the labels' own rate for every row (He et al. 2014, §3)."""

    higher_is_better = False

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        rate = float(scored.label.mean())
        if not 0 < rate < 1:
            return None
        return scored.loss / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))


class Calibration(ProbabilityMetric):
    """Sum of the estimates over the sum of the labels; 1 is best."""

    higher_is_better = None

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        rate = float(scored.label.mean())
        return float(scored.estimate.mean()) / rate if rate > 0 else None


class ECE(ProbabilityMetric):
    """Mean distance of estimate and rate over 15 bins of equal width (Guo et al. 2017, eq. 3)."""

    higher_is_better = False

    def compute(self, scored: Scored) -> float:
        """See `Metric`."""
        edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
        place = (torch.bucketize(scored.estimate, edges, right=True) - 1).clamp(0, BINS - 1)
        distance = torch.bincount(place, scored.estimate - scored.label, minlength=BINS)
        return float(distance.abs().sum() / len(place))


class Accuracy(ClassMetric):
    """Share of rows whose most probable class is the label."""

    higher_is_better = True

    def compute(self, scored: Scored) -> float:
        """See `Metric`."""
        return float((scored.probabilities.argmax(1) == scored.label).double().mean())


class QuadraticKappa(ClassMetric):
    """Agreement of the most probable place with the label beyond chance, errors squared (Cohen 1968)."""

    higher_is_better = True

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        # A perfect guess of labels that are all the same would be 0/0, and any other 0.
        if not scored.target_order.varied:
            return None
        label, guess = scored.label, scored.probabilities.argmax(1).double()
        # The mean of (l - g)² over all pairs of rows, which stands for chance, is var + var + (difference of means)².
        chance = label.var(correction=0) + guess.var(correction=0) + (label.mean() - guess.mean()).square()
        return 1 - float((label - guess).square().mean() / chance)
