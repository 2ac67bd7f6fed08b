"""Nonnegative quadratic programs: minimise ½·yᵀMy - bᵀy over y ≥ 0, for several b at once."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trunkline.balance.solvers.cosines import Floats

TOLERANCE: Final = 1e-13
"""How far below 0, relative to the largest of b, a variable or a slack counts as 0."""
PATIENCE: Final = 3
"""Rounds without fewer violations before variables are exchanged one at a time."""


def nonnegative_qp(
    matrix: Floats, linear: Floats, *, start: NDArray[np.bool_] | None = None, refine: Floats | None = None
) -> tuple[Floats, NDArray[np.bool_]]:
    """The minimisers `[K, n]` of ½·yᵀMy - bᵀy over y ≥ 0, and where they are free to be above 0.

    Block principal pivoting (Júdice, Pires 1994; Kim, Park 2011, SIAM J. Sci. Comput. 33(6), algorithm 3): guess
    which variables are positive, solve for them, exchange those that turned out wrong. All K problems advance
    together, one small linear system each a round; five rounds are common. Exchanging all at once may cycle, so
    without progress only the last wrong one is exchanged, which cannot.

    Args:
        matrix: M `[n, n]`, positive definite.
        linear: b `[K, n]`.
        start: `[K, n]` guess of where y is positive; where b is, by default.
        refine: `[n, n]` singular matrix of which M is the shifted one (`definite`); the shift is then taken out of
            the solution again as far as y ≥ 0 allows.
    """
    count, size = linear.shape
    free = linear > 0.0 if start is None else start.copy()
    y: Floats = np.zeros((count, size))
    tolerance = TOLERANCE * np.abs(linear).max(axis=1, initial=1e-300, keepdims=True)
    fewest = np.full(count, size + 1)
    patience = np.full(count, PATIENCE)
    left = np.arange(count)
    for _ in range(20 + 10 * size):
        sets = free[left]
        found = solve_free(matrix, np.where(sets, linear[left], 0.0), sets)
        y[left] = found
        wrong = np.where(sets, found, found @ matrix - linear[left]) < -tolerance[left]
        violations = wrong.sum(axis=1)
        unsolved = violations > 0
        if not unsolved.any():
            break
        left, wrong, violations = left[unsolved], wrong[unsolved], violations[unsolved]
        better = violations < fewest[left]
        patience[left] = np.where(better, PATIENCE, patience[left] - 1)
        fewest[left] = np.minimum(violations, fewest[left])
        alone = patience[left] < 0
        if alone.any():
            last = size - 1 - wrong[:, ::-1].argmax(axis=1)
            wrong[alone] = np.arange(size) == last[alone, None]
        free[left] ^= wrong
    y = np.where(y > 0.0, y, 0.0)
    if refine is not None and refine is not matrix:
        exact = unshifted(matrix, refine, linear, free)
        y = np.where((exact >= 0.0).all(axis=1, keepdims=True), exact, y)
    return y, free


def unshifted(matrix: Floats, singular: Floats, right: Floats, free: NDArray[np.bool_]) -> Floats:
    """Solutions `[K, n]` of a singular matrix `[n, n]` on each row's free variables, by solves with its shifted one.

    Iterated refinement: each round shrinks the error along an eigenvector by shift/(eigenvalue + shift), and leaves
    alone what has no eigenvalue.
    """
    y = solve_free(matrix, np.where(free, right, 0.0), free)
    if singular is not matrix:
        for _ in range(3):
            y = y + solve_free(matrix, np.where(free, right - y @ singular, 0.0), free)
    return y


def solve_free(matrix: Floats, right: Floats, free: NDArray[np.bool_]) -> Floats:
    """Solutions `[K, n]` of M restricted to each row's free variables; 0 elsewhere, as `right` `[K, n]` is."""
    systems = matrix * (free[:, :, None] & free[:, None, :])
    diagonal = np.arange(len(matrix))
    systems[:, diagonal, diagonal] = np.where(free, matrix.diagonal(), 1.0)
    return np.asarray(np.linalg.solve(systems, right[:, :, None])[:, :, 0], np.float64)
