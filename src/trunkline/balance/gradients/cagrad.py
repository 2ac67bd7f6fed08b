"""CAGrad: the direction near the mean gradient that helps the worst-off task most."""

from collections.abc import Sequence
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.active_set import active_set, least_norm, rounding
from trunkline.balance.solvers.cosines import Cosines, Floats, definite
from trunkline.balance.solvers.nonnegative_qp import nonnegative_qp, solve_free
from trunkline.errors import UserError

ROUNDS: Final = 20
"""Of finding which tasks count, without a shift; two are common."""
SAME: Final = 1e-9
"""Two solutions are as good as each other if the worst-off tasks' gains differ by less than this share."""


@final
class CAGrad(GramianBalancer):
    """The d that maximises min_i g_i·d within ‖d - g_0‖ ≤ c·‖g_0‖ of the mean g_0 (Liu et al. 2021, arXiv 2110.14048).

    The paper's dual (eq. 3, algorithm 1) minimises g_w·g_0 + c·‖g_0‖·‖g_w‖ over w in the simplex, and then
    d = g_0 + c·‖g_0‖/‖g_w‖·g_w. Solved here through λ = min_i g_i·d: for a given λ the nearest d is a projection, and
    its distance from g_0 grows with λ in pieces on each of which λ solves a quadratic equation. c = 0 is the mean,
    and growing c approaches MGDA's direction.

    NOTE[DIFF]: a task whose gradient is zero is left out, with weight 0. In the paper's problem it takes all of w.

    NOTE[DIFF]: the authors' code divides by 1 + c² or 1 + c; `rescale=False` gives the paper's d, undivided.

    Args:
        rescale: as in `GramianBalancer`.
        c: radius of the ball, as a share of the mean gradient's norm; convergence is proven for c below 1.

    Raises:
        UserError: c is below 0 or not finite.
    """

    def __init__(self, *, rescale: bool = True, c: float = 0.4) -> None:
        super().__init__(rescale=rescale)
        if not 0.0 <= c < float("inf"):
            raise UserError(f"cagrad's c must be 0 or more and finite, got {c}")
        self.c = c

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]`, those of n tasks with a gradient at least 1/n."""
        cosines = Cosines.of(gramian)
        if not len(cosines):
            return cosines.weights(cosines.norms)
        mean = cosines.norms / len(cosines)
        inner = cosines.matrix @ mean
        radius = self.c * float(mean @ inner) ** 0.5 if mean @ inner > 0.0 else 0.0
        if radius == 0.0 or len(cosines) == 1:
            return cosines.weights(mean * (1.0 + self.c if len(cosines) == 1 else 1.0))
        inverse = cosines.norms.min() / cosines.norms
        return cosines.weights(mean + _worst_off(cosines.matrix, inner, inverse, radius))


def _worst_off(cosines: Floats, inner: Floats, inverse: Floats, radius: float) -> Floats:
    """y ≥ 0 `[n]`, with yᵀCy = radius², that raises the least (inner + C·y)/inverse as far as can be.

    Newton's method on λ, that least value, kept inside a bracket: y is the shortest with C·y ≥ λ·inverse - inner, its
    length is convex in λ, and where the same y stay positive the λ for the radius is known in closed form.
    """
    matrix = definite(cosines)
    low, high = float((inner / inverse).min()), np.inf
    free = inner / inverse <= low
    y = np.zeros(len(matrix))
    for _ in range(60):
        level = _level(matrix, inner, inverse, radius, free)
        if not low < level < high:
            level = 0.5 * (low + high) if high < np.inf else low + max(abs(low), radius)
        solved, chosen = nonnegative_qp(matrix, (level * inverse - inner)[None], start=free[None])
        y, before, free = solved[0], free, chosen[0]
        square = float(y @ matrix @ y)
        if np.array_equal(before, free) and abs(square - radius**2) <= 1e-9 * radius**2:
            break
        low, high = (level, high) if square <= radius**2 else (low, level)
        if high - low <= 1e-15 * max(abs(low), abs(high)):
            break
    y = _scaled(cosines, y, radius)
    if matrix is cosines:
        return y
    # Once more without the shift, from there: which y are positive may change, and equal gradients count alike.
    exact, cut = y, rounding(cosines)
    for _ in range(ROUNDS):
        p, q = (least_norm(cosines, right, free, cut=cut) for right in (inverse, inner))
        level = _reach(cosines, p, q, radius)
        exact = active_set(cosines, level * inverse - inner, np.maximum(level * p - q, 0.0))
        if np.array_equal(exact > 0.0, free):
            break
        free = exact > 0.0
    exact = _scaled(cosines, exact, radius)
    worst, shifted = (float(((inner + cosines @ one) / inverse).min()) for one in (exact, y))
    return y if shifted - worst > SAME * abs(shifted) else exact


def _scaled(matrix: Floats, y: Floats, radius: float) -> Floats:
    square = float(y @ matrix @ y)
    return y * (radius / square**0.5) if square > 0.0 else y


def _level(matrix: Floats, inner: Floats, inverse: Floats, radius: float, free: NDArray[np.bool_]) -> float:
    """The λ at which y `[n]`, 0 except where `free` is true, reaches the radius."""
    p, q = solve_free(matrix, np.where(free, [inverse, inner], 0.0), np.stack([free, free]))
    return _reach(matrix, p, q, radius)


def _reach(matrix: Floats, p: Floats, q: Floats, radius: float) -> float:
    """The λ at which λ·p - q has the length of the radius."""
    a, b, c = float(p @ matrix @ p), float(p @ matrix @ q), float(q @ matrix @ q)
    root = b * b - a * (c - radius**2)
    return (b + max(root, 0.0) ** 0.5) / a if a > 0.0 else 0.0
