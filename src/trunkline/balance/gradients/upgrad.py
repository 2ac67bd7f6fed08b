"""UPGrad: project every gradient onto the cone of directions that conflict with no task."""

from collections.abc import Sequence
from typing import final

import numpy as np
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.cosines import Cosines, definite
from trunkline.balance.solvers.nonnegative_qp import nonnegative_qp


@final
class UPGrad(GramianBalancer):
    """The mean of the gradients' projections onto their dual cone (Quinton, Rey 2024, arXiv 2406.16232, eq. 4).

    NOTE[DIFF]: the authors' library adds 1e-4 of its trace to the Gramian's diagonal, which gives up on tasks with
    gradients a hundred times shorter than the others'; here directions are projected, and lengths put in afterwards.

    Args:
        rescale: as in `GramianBalancer`; the paper takes the mean (`rescale=False`).
    """

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]` of the mean projection, at least 1/A each."""
        cosines = Cosines.of(gramian)
        added = np.zeros(len(cosines))
        if len(cosines):
            # Projecting ‖g_i‖·u_i adds ‖g_i‖ times what projecting the unit vector u_i adds.
            directions, _ = nonnegative_qp(definite(cosines.matrix), -cosines.matrix, refine=cosines.matrix)
            added = cosines.norms @ directions
        return (1.0 + cosines.weights(added)) / len(gramian)
