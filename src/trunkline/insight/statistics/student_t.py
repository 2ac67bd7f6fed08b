"""Quantiles of Student's t distribution, for any number of degrees of freedom from 1 on."""

import math
from statistics import NormalDist

import numpy as np

_MANY = 200
"""Degrees of freedom from which on an expansion around the normal distribution is exact to eight digits."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def quantile(tail: float, df: float) -> float:
    """t with `tail` of the probability above it, 0 < tail < ½."""
    if df > _MANY:
        return _expanded(-NormalDist().inv_cdf(tail), df)
    low, high = 0.0, 1.0
    while upper_tail(high, df) > tail:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if upper_tail(middle, df) > tail else (low, middle)
    return (low + high) / 2


def upper_tail(t: float, df: float) -> float:
    """P(T > t) for t ≥ 0.

    With t/√df = tan θ it is c·∫ cos(φ)^(df-1) dφ from θ to π/2, here by Gauss and Legendre over pieces that are short
    where the integrand falls, and where it has no derivative.
    """
    start = math.atan(t / math.sqrt(df))
    along = np.linspace(0, 1, 1 + max(8, math.ceil(math.sqrt(df))))
    ends = start + (math.pi / 2 - start) * along**2 * (3 - 2 * along)
    half = np.diff(ends)[:, None] / 2
    angles = ends[:-1, None] + half * (1 + _NODES)
    integral = float((np.cos(angles) ** (df - 1) * half * _WEIGHTS).sum())
    return math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi) * integral


def _expanded(z: float, df: float) -> float:
    """The quantile of which z is the normal one (Abramowitz and Stegun 26.7.5)."""
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / df**i for i, term in enumerate(terms, 1))
