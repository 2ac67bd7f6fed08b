"""Confidence interval of an area under a ROC curve."""

import math

Z = 1.96
"""Of 95 %."""


def auc_interval(auc: float, positives: int, negatives: int) -> tuple[float, float]:
    """The 95 % interval of an AUC (Hanley, McNeil 1982, The Meaning and Use of the Area under a ROC Curve).

    Args:
        auc: as it was found.
        positives: rows with label 1, at least 1.
        negatives: rows with label 0, at least 1.
    """
    both_above = auc / (2 - auc)
    both_below = 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (both_above - auc**2) + (negatives - 1) * (both_below - auc**2)
    # An AUC of 1 has a variance of 0 by this formula; one misplaced pair is always possible.
    error = max(math.sqrt(max(variance, 0.0) / (positives * negatives)), 1 / (2 * min(positives, negatives)))
    return max(auc - Z * error, 0.0), min(auc + Z * error, 1.0)
