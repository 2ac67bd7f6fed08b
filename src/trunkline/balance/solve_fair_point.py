"""Solve C·x = k·x^(-q) for x > 0: the point at which Nash bargaining and α-fairness stop."""

from typing import Final

import numpy as np

from trunkline.balance.cosines import Floats

LAST_STEP: Final = 1e-8
"""A relative step this short is the last: convergence is quadratic, so it leaves an error of about its square."""


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

    def value(x: Floats) -> float:
        gain = np.log(x) if power == 1.0 else x ** (1.0 - power) / (1.0 - power)
        return float(0.5 * (x @ matrix @ x) - scale @ gain)

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
        size = float(np.abs(step).max())
        if size < near:
            x = x * (1.0 + step)
            if size < LAST_STEP or (size < 1e-3 and size > 0.5 * before):  # the latter: nothing but rounding is left
                break
            before = size
            continue
        length = min(1.0, 0.9 / max(-float(step.min()), 1e-300))
        now, slope = value(x), float(gradient @ step)
        while length > 1e-8 and value(x * (1.0 + length * step)) > now + 0.1 * length * slope:
            length *= 0.5
        x = x * (1.0 + length * step)
    return x
