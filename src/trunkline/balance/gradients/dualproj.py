"""DualProj: project the mean gradient onto the cone of directions that conflict with no task."""

from collections.abc import Sequence
from typing import final

import numpy as np
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.cosines import Cosines, definite
from trunkline.balance.solvers.nonnegative_qp import nonnegative_qp


@final
class DualProj(GramianBalancer):
    """The nearest vector to the mean that has no negative product with any gradient (GEM; arXiv 1706.08840, eq. 11).

    Where the mean conflicts with no task it is the mean.

    Args:
        rescale: as in `GramianBalancer`; the paper projects the mean (`rescale=False`).
    """

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]`, at least 1/A each."""
        cosines = Cosines.of(gramian)
        added = np.zeros(len(cosines))
        if len(cosines):
            mean = -cosines.matrix @ cosines.norms
            added = nonnegative_qp(definite(cosines.matrix), mean[None], refine=cosines.matrix)[0][0]
        return (1.0 + cosines.weights(added)) / len(gramian)
