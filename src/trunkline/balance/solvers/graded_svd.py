"""One-sided Jacobi SVD, for matrices whose columns differ in norm by many orders of magnitude."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trunkline.balance.solvers.cosines import Floats

EVEN: Final = 1e3
"""Up to this ratio of the longest column to the shortest LAPACK's own decomposition is as good, and faster."""
SWEEPS: Final = 60
"""Convergence is quadratic; six sweeps are common."""


def graded_svd(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """U, σ and V, `[n, n]`, `[n]` and `[n, n]`, with X = U·diag(σ)·Vᵀ; σ in no order.

    One-sided Jacobi: pairs of columns are rotated until all are orthogonal. For X = B·D with D diagonal every σ has a
    relative error of about ε·κ(B), whatever D (Demmel and Veselić 1992, SIAM J. Matrix Anal. 13(4), theorem 4.1);
    LAPACK's error is ε·σ_max, in which the short columns drown. Disjoint pairs are rotated together.

    Args:
        matrix: X `[n, n]`, of full rank.
    """
    size = matrix.shape[1]
    lengths = np.linalg.norm(matrix, axis=0)
    if lengths.max() <= EVEN * lengths.min():
        left, singular, right = np.linalg.svd(matrix)
        return left, singular, right.T
    columns = np.zeros((size + size % 2, size))
    columns[:size] = matrix.T
    rotations = np.eye(len(columns))
    small = np.finfo(np.float64).eps * len(columns)
    ring = np.arange(len(columns))
    for _ in range(SWEEPS):
        rotated = False
        for _ in range(len(columns) - 1):
            half = len(ring) // 2
            p, q = ring[:half], ring[: half - 1 : -1]
            rotated |= _rotate(columns, rotations, p, q, small)
            ring = np.concatenate([ring[:1], ring[-1:], ring[1:-1]])  # each meets each once a sweep
        if not rotated:
            break
    columns, rotations = columns[:size], rotations[:size, :size]
    singular = np.linalg.norm(columns, axis=1)
    return (columns / singular[:, None]).T, singular, rotations.T


def _rotate(columns: Floats, rotations: Floats, p: NDArray[np.intp], q: NDArray[np.intp], small: float) -> bool:
    """Make columns p and q orthogonal to each other, in place; whether any were not."""
    one, other = columns[p], columns[q]
    squares, others = (one * one).sum(axis=1), (other * other).sum(axis=1)
    inner = (one * other).sum(axis=1)
    turned = np.abs(inner) > small * np.sqrt(squares) * np.sqrt(others)
    if not turned.any():
        return False
    zeta = (others - squares) / (2.0 * np.where(turned, inner, 1.0))
    tangent = np.where(zeta >= 0.0, 1.0, -1.0) / (np.abs(zeta) + np.hypot(1.0, zeta))
    tangent = np.where(turned, tangent, 0.0)
    cosine = 1.0 / np.hypot(1.0, tangent)
    sine = cosine * tangent
    for table in (columns, rotations):
        first, second = table[p], table[q]
        table[p] = cosine[:, None] * first - sine[:, None] * second
        table[q] = sine[:, None] * first + cosine[:, None] * second
    return True
