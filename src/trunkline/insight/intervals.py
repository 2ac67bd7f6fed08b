"""Intervals of differences, from the variance between seeds and that between test rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from trunkline.insight.student_t import quantile
from trunkline.insight.weighted import Numbers


_UNSTABLE = 9.0
"""Times the median variance: of three seeds' variances one in 500 is larger by chance."""


@final
@dataclass(frozen=True)
class Interval:
    """A number and where it may lie.

    Attributes:
        value: the estimate.
        low: lower end; None where one seed is all there is.
        high: upper end, likewise.
        se: standard error, likewise.
        df: degrees of freedom of the standard error; None where there is no end of them, too.
    """

    value: float
    low: float | None = None
    high: float | None = None
    se: float | None = None
    df: float | None = None


@final
@dataclass(frozen=True, eq=False)
class Seeds:
    """One number of each seed's run.

    Attributes:
        values: `[n]`.
        fixed: whether seeds make no difference to it, so that one is as good as many.
    """

    values: Numbers
    fixed: bool = False

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(self.values.mean())

    @property
    def df(self) -> int:
        """Degrees of freedom of the variance between them."""
        return 0 if self.fixed else len(self.values) - 1

    @property
    def variance(self) -> float:
        """Between seeds."""
        return float(self.values.var(ddof=1)) if self.df else 0.0


def between_seeds(groups: Sequence[Seeds], others: Sequence[Seeds] = ()) -> tuple[float, float] | None:
    """Variance of a sum or difference of the groups' means, and its degrees of freedom; None where one cannot tell.

    A few seeds tell little about a variance, but seeds move networks of one size on the same rows by much the same.
    So the variance is pooled over all networks that there are, save those far less stable than most; where the groups'
    own are larger than that, theirs hold.

    Args:
        groups: of which the means are taken.
        others: all networks of the same task, these groups included or not.
    """
    if any(not group.fixed and not group.df for group in groups):
        return None
    loose = [group for group in groups if not group.fixed]
    if not loose:
        return 0.0, math.inf
    own = [group.variance / len(group.values) for group in loose]
    further = [group for group in others if group.df and all(group is not one for one in loose)]
    most = _UNSTABLE * float(np.median([group.variance for group in (*loose, *further)]))
    every = [*loose, *(group for group in further if group.variance <= most)]
    df = sum(group.df for group in every)
    pooled = sum(group.df * group.variance for group in every) / df * sum(1 / len(group.values) for group in loose)
    if pooled >= sum(own):
        return pooled, df
    return sum(own), welch_satterthwaite(own, [group.df for group in loose])


def interval(value: float, seeds: tuple[float, float] | None, resampled: Numbers, *, tail: float) -> Interval:
    """The interval around a value that leaves `tail` of the probability on either side.

    Args:
        value: the estimate.
        seeds: what `between_seeds` gave.
        resampled: the same estimate on resamples of the test rows `[B]`, NaN where it was not defined.
        tail: above 0 and below ½.
    """
    known = resampled[np.isfinite(resampled)]
    if seeds is None or not math.isfinite(value) or len(known) < len(resampled) / 2 or len(known) < 2:
        return Interval(value)
    parts, dfs = [seeds[0], float(known.var(ddof=1))], [seeds[1], math.inf]
    se, df = math.sqrt(sum(parts)), welch_satterthwaite(parts, dfs)
    reach = se * quantile(tail, df)
    return Interval(value, value - reach, value + reach, se, df if math.isfinite(df) else None)


def welch_satterthwaite(variances: Sequence[float], dfs: Sequence[float]) -> float:
    """Degrees of freedom of a sum of variances (Satterthwaite 1946; Welch 1947)."""
    below = sum(variance**2 / df for variance, df in zip(variances, dfs, strict=True))
    return sum(variances) ** 2 / below if below else math.inf
