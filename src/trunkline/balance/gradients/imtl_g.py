"""IMTL-G: an update with equal projections onto all gradients."""

from collections.abc import Sequence
from typing import final

import numpy as np
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.cosines import Cosines
from trunkline.balance.solvers.equal_projections import equal_projections


@final
class IMTLG(GramianBalancer):
    """Weights that sum to 1 and give every task the same g·u, u = g_t/‖g_t‖ (Liu et al. 2021, ICLR, eq. 6).

    No task's size counts, only its direction. Weights may be negative, and the update vanishes where the gradients'
    directions are far from any common one.

    NOTE[DIFF]: where the weights of the update that improves all tasks sum to less than 0, a sum of 1 would turn it
    against all of them; it keeps its direction, and the weights' absolute values sum to 1.

    NOTE[DIFF]: linearly dependent gradients get the least-squares solution for unit gradients. A task whose gradient
    is zero is left out, with weight 0.
    """

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]`, of either sign."""
        cosines = Cosines.of(gramian)
        if not len(cosines):
            return cosines.weights(cosines.norms)
        lengths = equal_projections(cosines.matrix)
        shares = lengths / cosines.norms
        total = shares.sum()
        return cosines.weights(lengths / (total if total > 0.0 else np.abs(shares).sum()))
