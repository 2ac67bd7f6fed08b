"""Equal-angle direction: it makes the same angle with every gradient."""

import numpy as np

from trunkline.balance.solvers.cosines import RANK, Floats


def equal_projections(matrix: Floats) -> Floats:
    """y `[n]` such that Σ y_j·u_j has the same projection, 1, onto every unit gradient u: C·y = 1.

    Where the gradients are linearly dependent this is the shortest least-squares solution, C⁺·1. Opposed gradients
    that leave no common direction at all get equal lengths.

    Args:
        matrix: C `[n, n]` cosines.
    """
    values, vectors = np.linalg.eigh(matrix)
    # A negative eigenvalue is rounding and tells how large rounding is.
    kept = values > max(RANK, -4.0 * values[0])
    sums = vectors.sum(axis=0)
    y: Floats = vectors[:, kept] @ (sums[kept] / values[kept])
    if np.abs(y).max(initial=0.0) < 1e-9:
        return np.ones(len(matrix))
    return y
