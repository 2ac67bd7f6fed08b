"""Active-set refinement of a nonnegative quadratic program that is nearly singular."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trunkline.balance.solvers.cosines import Floats

ROUNDING: Final = 16.0 * float(np.finfo(np.float64).eps)
"""Times n: eigenvalues of an `[n, n]` matrix of cosines below this share of the largest are rounding."""


def rounding(matrix: Floats) -> float:
    """Up to where eigenvalues of a matrix `[n, n]` that has none below 0 are rounding.

    One below 0 tells how large rounding is, in a Gramian that was formed in float32 for example.
    """
    values = np.linalg.eigvalsh(matrix)
    return float(max(ROUNDING * len(matrix) * values[-1], -4.0 * values[0]))


def least_norm(matrix: Floats, right: Floats, free: NDArray[np.bool_], *, cut: float) -> Floats:
    """The shortest least-squares solution `[n]` of M·y = b on the free variables; 0 elsewhere.

    Args:
        matrix: M `[n, n]`, symmetric, without eigenvalues below 0 but for rounding.
        right: b `[n]`.
        free: `[n]` boolean.
        cut: eigenvalues up to here are rounding, and nothing goes along them.
    """
    values, vectors = np.linalg.eigh(matrix[np.ix_(free, free)])
    kept = values > cut
    y: Floats = np.zeros(len(right))
    y[free] = vectors[:, kept] @ ((vectors[:, kept].T @ right[free]) / values[kept])
    return y


def active_set(matrix: Floats, right: Floats, start: Floats) -> Floats:
    """The minimiser `[n]` of ½·yᵀMy - bᵀy over y ≥ 0, M as ill conditioned as float64 can tell.

    Lawson and Hanson's method (Solving Least Squares Problems, 1974, chapter 23) on normal equations: minimise over
    the variables above 0, take out those that would fall below it on the way there, take in the one whose slope is
    steepest, until none has any. The objective falls in every round. Of several minimisers it is the shortest on its
    variables, so that equal gradients count alike.

    Args:
        matrix: M `[n, n]`, symmetric, without eigenvalues below 0 but for rounding.
        right: b `[n]`.
        start: `[n]`, at least 0; near the minimum.
    """
    cut, size = rounding(matrix), len(right)
    y, free = start.copy(), start > 0.0
    best, least = y, np.inf
    for _ in range(10 * size + 20):
        while free.any():
            aim = least_norm(matrix, right, free, cut=cut)
            falling = free & (aim <= 0.0)
            if not falling.any():
                y = aim
                break
            ratios = y[falling] / (y[falling] - aim[falling])
            y = y + ratios.min() * (aim - y)
            gone = np.flatnonzero(falling)[ratios <= ratios.min()]
            free[gone] = False
            y = np.where(free, np.maximum(y, 0.0), 0.0)
        slopes = matrix @ y - right
        value = float(0.5 * y @ (slopes - right))
        if value >= least:
            break
        best, least = y, value
        noise = ROUNDING * size * (np.abs(matrix) @ y + np.abs(right))
        below = np.where(free, 0.0, slopes + noise)
        if below.min(initial=0.0) >= 0.0:
            break
        free[int(below.argmin())] = True
    return best
