"""Reference scores too near 0 for a relative change."""

import math
from collections.abc import Sequence

import numpy as np

from trunkline.insight.statistics.intervals import Seeds, between_seeds, interval
from trunkline.insight.statistics.weighted import Numbers

LEAST = 0.01
"""Of an R², a correlation or a Gini index: a change in a score of less is told as it is, never in percent of it."""
_TAIL = 0.025


def near_zero(seeds: Seeds, resampled: Numbers, others: Sequence[Seeds] = ()) -> str | None:
    """Why a change relative to a task's score alone says nothing; None where it says something.

    A ratio has a bounded interval only where its denominator's own keeps off 0 (Fieller 1954). Below 0 the task alone
    is worse than a constant, and a percentage of that means nothing either. An AUC is 0.5 where nothing is learnt, so
    that its ratio is always defined.

    Args:
        seeds: the score of the task alone, by seed.
        resampled: its mean over the seeds, on resamples of the test rows `[B]`.
        others: the score in all networks, by which the variance between seeds is known better.
    """
    value = seeds.mean
    # One seed says nothing of the others; what the rows say is then all there is.
    found = interval(value, between_seeds([seeds], others) or (0.0, math.inf), np.asarray(resampled), tail=_TAIL)
    if value < LEAST:
        return f"its score alone is {value:.4f}, below {LEAST:g}"
    if found.low is not None and found.low <= 0:
        return f"its score alone is {value:.4f}, and 95 % of it reach from {found.low:.4f} to {found.high:.4f}, past 0"
    return None
