"""Confidence intervals of differences, from the variance between seeds and that between test rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from trunkline.insight.statistics.student_t import quantile
from trunkline.insight.statistics.weighted import Numbers

_UNSTABLE = 9.0
"""Times the median variance: of three seeds' variances one in 500 is larger by chance."""
_UNLIKE = 4.0
"""Times the pooled variance of others: of three seeds' variances one in 20 is larger by chance."""
_ENOUGH = 4
"""Degrees of freedom of the others below which nothing is unlike them."""


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


def half_width(of: Interval) -> float:
    """Half of the interval, of one that has ends."""
    assert of.low is not None
    assert of.high is not None
    return (of.high - of.low) / 2


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

    A few seeds tell little about a variance, but seeds move networks of one size on the same rows by much the same. So
    the variance is pooled over all networks that there are, save those far less stable than most; where the groups' own
    is larger, theirs holds. A group whose variance chance does not explain beside the others' has its own, and no more
    degrees of freedom than its own.

    Args:
        groups: of which the means are taken.
        others: all networks of the same task, these groups included or not.
    """
    if any(not group.fixed and not group.df for group in groups):
        return None
    loose = [group for group in groups if not group.fixed]
    if not loose:
        return 0.0, math.inf
    every = [*loose, *(group for group in others if group.df and all(group is not one for one in loose))]
    most = _UNSTABLE * float(np.median([group.variance for group in every]))
    calm = [group for group in every if group.variance <= most]
    unlike = [group for group in loose if _unlike(group, [other for other in calm if other is not group])]
    alike = [group for group in loose if group not in unlike]
    parts = [(group.variance / len(group.values), float(group.df)) for group in unlike]
    if alike:
        variance, df = _pooled([*alike, *(group for group in calm if group not in alike and group not in unlike)])
        own = sum(group.variance / len(group.values) for group in alike)
        parts.append((max(own, variance * sum(1 / len(group.values) for group in alike)), df))
    return sum(part for part, _ in parts), welch_satterthwaite(*zip(*parts, strict=True))


def _unlike(group: Seeds, others: Sequence[Seeds]) -> bool:
    """Whether a group's variance is larger than chance explains beside that of enough others."""
    if sum(other.df for other in others) < _ENOUGH:
        return False
    return group.variance > _UNLIKE * _pooled(others)[0]


def _pooled(groups: Sequence[Seeds]) -> tuple[float, float]:
    df = sum(group.df for group in groups)
    return sum(group.df * group.variance for group in groups) / df, df


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
