"""Metrics of estimated probabilities, and of the class they speak for."""

import math

import torch

from trunkline.metrics.metric import Metric
from trunkline.metrics.scored import Scored

BINS = 15
"""Of the calibration error, of equal width."""


def _log_loss(scored: Scored) -> float:
    return scored.loss


def _normalized_entropy(scored: Scored) -> float | None:
    rate = float(scored.label.mean())
    if not 0 < rate < 1:
        return None
    return scored.loss / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))


def _calibration(scored: Scored) -> float | None:
    rate = float(scored.label.mean())
    return float(scored.estimate.mean()) / rate if rate > 0 else None


def _ece(scored: Scored) -> float:
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
    place = (torch.bucketize(scored.estimate, edges, right=True) - 1).clamp(0, BINS - 1)
    distance = torch.bincount(place, scored.estimate - scored.label, minlength=BINS)
    return float(distance.abs().sum() / len(place))


def _accuracy(scored: Scored) -> float:
    return float((scored.probabilities.argmax(1) == scored.label).double().mean())


def _quadratic_kappa(scored: Scored) -> float | None:
    # A perfect guess of labels that are all the same would be 0/0, and any other 0.
    if not scored.target_order.varied:
        return None
    label, guess = scored.label, scored.probabilities.argmax(1).double()
    # The mean of (l - g)² over all pairs of rows, which stands for chance, is var + var + (difference of means)².
    chance = label.var(correction=0) + guess.var(correction=0) + (label.mean() - guess.mean()).square()
    return 1 - float((label - guess).square().mean() / chance)


CLASSIFICATION = {
    "log_loss": Metric(
        "mean negative log-probability of the label, in nats",
        higher_is_better=False,
        compute=_log_loss,
    ),
    "normalized_entropy": Metric(
        "log_loss over that of the labels' own rate for every row (He et al. 2014, §3)",
        higher_is_better=False,
        compute=_normalized_entropy,
    ),
    "calibration": Metric(
        "sum of the estimates over the sum of the labels; 1 is best",
        higher_is_better=None,
        compute=_calibration,
    ),
    "ece": Metric(
        "mean distance of estimate and rate over 15 bins of equal width (Guo et al. 2017, eq. 3)",
        higher_is_better=False,
        compute=_ece,
    ),
    "accuracy": Metric(
        "share of rows whose most probable class is the label",
        higher_is_better=True,
        compute=_accuracy,
    ),
    "quadratic_kappa": Metric(
        "agreement of the most probable place with the label beyond chance, errors squared (Cohen 1968)",
        higher_is_better=True,
        compute=_quadratic_kappa,
    ),
}
"""Metrics of probabilities, by name."""
