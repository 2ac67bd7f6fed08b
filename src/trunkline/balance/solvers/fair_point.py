"""Fixed point of C·x = k·x^(-q), x > 0, at which Nash bargaining and α-fairness stop."""

from typing import Final

import numpy as np

from trunkline.balance.solvers.cosines import Floats

LAST_STEP: Final = 1e-8
"""A relative step this short is the last: convergence is quadratic, so it leaves an error of about its square."""
FLOOR: Final = 1e-40
"""Components below this share of the largest shrink no further: they count for nothing, and would underflow."""


def fair_point(matrix: Floats, scale: Floats, power: float) -> Floats:
    """The x `[n]` above 0 with C·x = k·x^(-q), the only minimum of ½·xᵀCx - Σ k·φ(x), φ'(x) = x^(-q).

    Newton's method on that convex function with backtracking; steps are relative to x, so that components of very
    different size converge alike. About ten iterations.

    Args:
        matrix: C `[n, n]`, positive definite.
        scale: k `[n]`, above 0.
        power: q, above 0.
    """
    x = scale ** (1.0 / (1.0 + power))  # the solution if C were the identity
    diagonal = np.arange(len(x))
    near = 0.6 / (1.0 + power)

    # Along the ray through x the best length is known in closed form.
    x = x * ((scale @ x ** (1.0 - power)) / (x @ matrix @ x)) ** (1.0 / (1.0 + power))
    before = np.inf
    for _ in range(200):
        pull = scale * x ** (1.0 - power)
        curved = matrix * x * x[:, None]
        gradient = curved.sum(axis=1) - pull
        curved[diagonal, diagonal] += power * pull
        # Unit diagonal: Jacobi's scaling, so that a solve is accurate for large and small components alike.
        unit = 1.0 / np.sqrt(curved.diagonal())
        step = -unit * np.linalg.solve(curved * unit * unit[:, None], unit * gradient)
        step[(x <= FLOOR * x.max()) & (step < 0.0)] = 0.0
        size = float(np.abs(step).max())
        if size < near:
            x = x * (1.0 + step)
            if size < LAST_STEP or (size < 1e-3 and size > 0.5 * before):  # the latter: nothing but rounding is left
                break
            before = size
            continue
        length = min(1.0, 0.9 / max(-float(step.min()), 1e-300))
        # Slopes tell what a step does to small components, where values drown in rounding.
        slope = float(gradient @ step)
        moved = x * (1.0 + length * step)
        while length > 1e-8 and (matrix @ moved - scale * moved**-power) @ (x * step) > -0.25 * slope:
            length *= 0.5
            moved = x * (1.0 + length * step)
        x = moved
    return x
