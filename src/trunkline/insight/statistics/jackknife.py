"""Delete-a-group jackknife, and permutations within the groups."""

import math
from typing import final

import numpy as np
from numpy.typing import NDArray

from trunkline.insight.statistics.intervals import Interval
from trunkline.insight.statistics.student_t import quantile
from trunkline.insight.statistics.weighted import Numbers, Weighted

GROUPS = 25
"""Enough for a standard error: that of the standard error itself is 14 %, which Student's t allows for."""
LEAST = 8
"""Rows of a group, where there are not enough for so many groups: of fewer, permutations are much the same."""
CONFIDENCE = 0.95
_ELEMENTS = 1 << 22
"""Of the largest array that is worked on at once."""

Ints = NDArray[np.int64]


@final
class Groups:
    """N rows at random in groups of a size.

    Args:
        rows: N, at least 1.
        draw: decides which row is in which group, and who stands in for whom.

    Attributes:
        of: `[N]` the group of each row.
        count: G, at least 2.
    """

    def __init__(self, rows: int, draw: np.random.Generator) -> None:
        self.count = max(2, min(GROUPS, rows // LEAST))
        self.of: Ints = draw.permutation(np.arange(rows) % self.count)
        self._draw = draw

    def permutation(self) -> Ints:
        """`[N]`: for each row another of its group, so that each row is taken once.

        No row stands in for itself, unless it is its group's only one, and any other is as likely as the next: the mean
        of what is measured then is that over all pairs of different rows.
        """
        made = np.empty_like(self.of)
        for group in range(self.count):
            circle = self._draw.permutation(np.flatnonzero(self.of == group))
            made[circle] = np.roll(circle, 1)
        return made

    def scores(self, metric: Weighted, rows: NDArray[np.intp]) -> Numbers:
        """The metric of some rows `[1 + G]`: of all of them, and with each group left out.

        Args:
            metric: of these rows.
            rows: `[n]` which of the N they are, at least one.
        """
        left_out = np.arange(-1, self.count)
        of, width = self.of[rows][:, None], max(1, _ELEMENTS // len(rows))
        parts = [left_out[i : i + width] for i in range(0, len(left_out), width)]
        return np.concatenate([metric((of != part).astype(np.float64)) for part in parts])


def interval(scores: Numbers) -> Interval | None:
    """The 95 % interval of what `Groups.scores` gave, or of a difference of such; None where it is not defined.

    The ends are None where it is not defined with some group left out.
    """
    value, without = float(scores[0]), scores[1:]
    if not math.isfinite(value):
        return None
    if not np.isfinite(without).all():
        return Interval(value)
    df = len(without) - 1
    se = math.sqrt(df * float(without.var()))
    reach = se * quantile((1 - CONFIDENCE) / 2, df)
    return Interval(value, value - reach, value + reach, se, df)
