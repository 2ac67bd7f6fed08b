"""Population stability index: how far the shares of one set of rows lie from those of another."""

import math

import numpy as np
from numpy.typing import NDArray

EXTREME = 3.0
"""Standard deviations above what chance gives on average, up to which all is put down to chance."""


def population_stability(expected: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Σ (q - p)·ln(q / p) of the shares q of `found` against the shares p of `expected`, above chance.

    Two samples of one distribution differ too: their index is (1/N + 1/M) times a χ² with one degree of freedom less
    than there are bins, and so much of it is taken off as chance could give. Half a row is added to every count, lest a
    bin without rows make the index infinite.

    Args:
        expected: `[bins]` rows in each.
        found: `[bins]` likewise.
    """
    n, m, bins = int(expected.sum()), int(found.sum()), len(expected)
    if not n or not m:
        return 0.0
    p, q = ((counts + 0.5) / (counts.sum() + bins / 2) for counts in (expected, found))
    chance = (bins - 1 + EXTREME * math.sqrt(2 * (bins - 1))) * (1 / n + 1 / m)
    return max(float(((q - p) * np.log(q / p)).sum()) - chance, 0.0)
