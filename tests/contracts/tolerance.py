"""How far two right answers of a Gramian method may lie apart.

Every solver works on C, the matrix `[n, n]` of the gradients' cosines, in float64. Forming C rounds each entry by a few
ε = 2⁻⁵², which moves C by at most a few n·ε in norm, and the solution y of a problem in C by at most a few n·ε·κ, with
κ = n/λ, λ the least eigenvalue that the solver does not take for rounding (`RANK`), or the shift that it gives a
singular matrix (`definite`). y are lengths, weight times norm: the weight of a gradient a million times shorter is a
million times larger. The error along an eigenvector of λ_k is n·ε/λ_k, but it moves the update Σ y_i·u_i by √λ_k times
that only: the update is known to n·ε·√κ. Both are shares of the longest y.
"""

import numpy as np
import torch

from trunkline.balance.solvers.cosines import RANK, Cosines

FACTOR = 8
"""What "a few" is: entries of C, the solve, its refinement; κ is of the problem's square root or itself."""
SHIFT = 1e-9
"""`definite`'s own."""
EPSILON = torch.finfo(torch.float64).eps


def condition(gramian):
    """κ of the cosines of a Gramian `[A, A]`."""
    matrix = Cosines.of(gramian.double()).matrix
    if not len(matrix):
        return 1.0  # no gradient at all
    values = np.linalg.eigvalsh(matrix)
    kept = values[values > RANK]
    least = min(kept.min(), SHIFT) if len(kept) < len(values) else kept.min()
    return len(matrix) / least


def assert_same_lengths(weights, expected, gramian):
    """Weights `[A]` that differ by no more than rounding accounts for, in their lengths and in their update."""
    cosines = Cosines.of(gramian.double())
    norms = gramian.double().diagonal().sqrt()
    lengths, wanted = weights.double() * norms, expected.double() * norms
    longest, unit = float(wanted.abs().max()), FACTOR * len(gramian) * EPSILON
    apart, kappa = (lengths - wanted).abs(), condition(gramian)
    both = f"{weights.tolist()} and {expected.tolist()}"
    assert float(apart.max()) <= unit * kappa * longest, f"{both}: lengths {float(apart.max()) / longest:.3g} apart"
    error = (lengths - wanted).numpy()[cosines.present]
    moved = max(float(error @ cosines.matrix @ error), 0.0) ** 0.5
    allowed = unit * kappa**0.5 * longest + EPSILON**0.5 * float(apart.max())  # the latter: of the product itself
    assert moved <= allowed, f"{both}: updates {moved / longest:.3g} apart"
