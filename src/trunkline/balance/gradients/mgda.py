"""MGDA: the shortest vector in the convex hull of the gradients."""

from collections.abc import Sequence
from typing import final

import numpy as np
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.active_set import active_set
from trunkline.balance.solvers.cosines import Cosines, definite
from trunkline.balance.solvers.nonnegative_qp import nonnegative_qp


@final
class MGDA(GramianBalancer):
    """The convex combination of least norm (Désidéri 2012; Sener, Koltun 2018, arXiv 1810.04650, eq. 4).

    Its update has the same inner product, its own squared norm, with every gradient that takes part, and no less
    with the others; it is zero only where no direction improves all tasks. Short gradients dominate it: a task that
    has nearly converged holds the others back, unless `normalize` is set.

    NOTE[DIFF]: the paper's Frank-Wolfe iteration stops some percent above the minimum; this is the minimum itself.

    NOTE[DIFF]: a task whose gradient is zero is left out, with weight 0. In the paper's problem it takes all weight,
    and nothing learns.

    Args:
        rescale: as in `GramianBalancer`; the paper's weights sum to 1 (`rescale=False`).
        normalize: give every gradient length 1 first, as the authors' code may (`"l2"`).
    """

    def __init__(self, *, rescale: bool = True, normalize: bool = False) -> None:
        super().__init__(rescale=rescale)
        self.normalize = normalize

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]` of at least 0 that sum to 1; with `normalize`, those of the unit gradients do."""
        cosines = Cosines.of(gramian)
        if not len(cosines):
            return cosines.weights(cosines.norms)
        lengths = np.ones(len(cosines)) if self.normalize else cosines.norms
        # With y_i = w_i·length_i the hull is {r·y = 1, y ≥ 0}, r = 1/length. The least y·C·y on it has the direction of
        # the least y·C·y + (r·y - 1)², which has no constraint but y ≥ 0.
        inverse = lengths.min() / lengths
        inverse /= np.linalg.norm(inverse)
        matrix = cosines.matrix + inverse[:, None] * inverse
        shifted = definite(matrix, least=1e-8)
        y = nonnegative_qp(shifted, inverse[None])[0][0]
        if shifted is not matrix:
            # Nearly opposed gradients: the shift is no longer small beside the least norm.
            y = active_set(matrix, inverse, y)
        return cosines.weights(y / (y / lengths).sum())
