"""ConFIG: equal angles to all gradients, and the length that their projections add up to."""

from collections.abc import Sequence
from typing import final

import numpy as np
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.cosines import Cosines
from trunkline.balance.solvers.equal_projections import equal_projections


@final
class ConFIG(GramianBalancer):
    """(Σ g_i·u)·u, u the unit vector of [g_1/‖g_1‖ … g_T/‖g_T‖]⁺·1 (Liu et al. 2024, arXiv 2408.11104, eq. 2).

    The direction is IMTL-G's; the length is different, and with weights rescaled to a sum of A so much the same that
    one of the two is enough. Weights may be negative. Among dependent gradients the Σ may be below 0: the update is
    then opposed to u, as the paper and its authors' code have it.

    NOTE[DIFF]: a task whose gradient is zero is left out, with weight 0. Opposed gradients without any common
    direction get equal lengths.

    Args:
        rescale: as in `GramianBalancer`; False for the paper's length.
    """

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]`, of either sign."""
        cosines = Cosines.of(gramian)
        if not len(cosines):
            return cosines.weights(cosines.norms)
        lengths = equal_projections(cosines.matrix)
        projections = cosines.matrix @ lengths
        square = float(lengths @ projections)
        # Two exactly opposed gradients meet in the zero vector, whatever the length.
        scale = float(cosines.norms @ projections) / square if square > 0.0 else 0.0
        if scale == 0.0 or not np.isfinite(scale):
            scale = 1.0
        return cosines.weights(scale * lengths)
