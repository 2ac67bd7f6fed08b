"""Nash-MTL: tasks bargain for the update, each utility being its gradient's share of it."""

from collections.abc import Sequence
from typing import final

import numpy as np
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.cosines import Cosines, definite
from trunkline.balance.solvers.fair_point import fair_point


@final
class NashMTL(GramianBalancer):
    """The α > 0 with G·α = 1/α, the Nash bargaining solution (Navon et al. 2022, arXiv 2202.01017, eq. 2).

    It maximises Σ log g_i·Δ over the updates Δ of a given norm, so no task's scale matters.

    NOTE[DIFF]: solved to rounding as the minimum of ½·αᵀGα - Σ log α; the paper's sequence of convex problems stops
    earlier. It needs no previous α, so there is no state and no `update_weights_every`. The cap on the update's norm
    (`max_norm`) is left to gradient clipping.

    NOTE[DIFF]: where no direction improves all tasks no finite solution exists; the diagonal of the cosines is raised
    by 1e-9 at most (or by as much as rounding left it below 0), and α is large. A task whose gradient is zero is left
    out, with weight 0.

    Args:
        rescale: as in `GramianBalancer`; False keeps α, for a Gramian with largest diagonal 1.
    """

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """α `[A]`, above 0 for every task with a gradient."""
        cosines = Cosines.of(gramian)
        if not len(cosines):
            return cosines.weights(cosines.norms)
        # With x_i = α_i·‖g_i‖ the equation reads C·x = 1/x.
        return cosines.weights(fair_point(definite(cosines.matrix), np.ones(len(cosines)), 1.0))
