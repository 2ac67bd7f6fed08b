"""Regression metrics, of the distance between estimates and labels in the label's unit."""

import math
import sys

import torch
from torch import Tensor

from trunkline.metrics.metric import ValueMetric
from trunkline.metrics.scored import Scored


class RMSE(ValueMetric):
    """Root of the mean squared error, in the label's unit."""

    higher_is_better = False

    def compute(self, scored: Scored) -> float:
        """See `Metric`."""
        return math.sqrt(float((scored.estimate - scored.target).square().mean()))


class MAE(ValueMetric):
    """Mean absolute error, in the label's unit."""

    higher_is_better = False

    def compute(self, scored: Scored) -> float:
        """See `Metric`."""
        return float((scored.estimate - scored.target).abs().mean())


class R2(ValueMetric):
    """1 - squared error over that of the labels' own mean for every row."""

    higher_is_better = True

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        if not scored.target_order.varied:
            return None
        around = (scored.target - scored.target.mean()).square().sum()
        return float(1 - (scored.estimate - scored.target).square().sum() / around)


class LogRMSE(ValueMetric):
    """Root of the mean squared error of the logarithm, over the rows with a label above 0."""

    higher_is_better = False

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        positive = scored.target > 0
        if not positive.any():
            return None
        return math.sqrt(float((_log(scored.estimate[positive]) - scored.target[positive].log()).square().mean()))


class Bias(ValueMetric):
    """Sum of the estimates over the sum of the labels; 1 is best."""

    higher_is_better = None

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        total = float(scored.target.sum())
        return float(scored.estimate.sum()) / total if total > 0 else None


class PoissonDeviance(ValueMetric):
    """Mean of 2·(y·log(y/estimate) - y + estimate) (McCullagh and Nelder 1989, §2.3)."""

    higher_is_better = False

    def compute(self, scored: Scored) -> float | None:
        """See `Metric`."""
        label, mean = scored.target, scored.estimate
        if bool((label < 0).any()):
            return None
        # y·log(y/mean) - y + mean as y·(e^d - 1 - d), d = log(mean/y): large counts would leave nothing but rounding.
        distance = _log(mean) - torch.where(label > 0, label, 1.0).log()
        return 2 * float(torch.where(label > 0, label * (distance.expm1() - distance), mean).mean())


def _log(values: Tensor) -> Tensor:
    """The logarithm, of the smallest number where an estimate has rounded to 0."""
    return values.clamp_min(sys.float_info.min).log()
