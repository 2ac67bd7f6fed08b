"""Quantiles of Student's t distribution, for any number of degrees of freedom from 1 on."""

import math

import numpy as np

_MANY = 1e4
"""Degrees of freedom beyond which it is the normal distribution for all that an interval can show."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def quantile(tail: float, df: float) -> float:
    """t with `tail` of the probability above it, 0 < tail < ½."""
    df = min(df, _MANY)
    low, high = 0.0, 1.0
    while upper_tail(high, df) > tail:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if upper_tail(middle, df) > tail else (low, middle)
    return (low + high) / 2


def upper_tail(t: float, df: float) -> float:
    """P(T > t) for t ≥ 0.

    With t/√df = tan θ it is c·∫ cos(φ)^(df-1) dφ from θ to π/2, here by Gauss and Legendre over pieces that are short
    where the integrand falls, and where it has no derivative.
    """
    df = min(df, _MANY)
    start = math.atan(t / math.sqrt(df))
    along = np.linspace(0, 1, 1 + max(8, math.ceil(math.sqrt(df))))
    ends = start + (math.pi / 2 - start) * along**2 * (3 - 2 * along)
    half = np.diff(ends)[:, None] / 2
    angles = ends[:-1, None] + half * (1 + _NODES)
    integral = float((np.cos(angles) ** (df - 1) * half * _WEIGHTS).sum())
    return math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi) * integral
