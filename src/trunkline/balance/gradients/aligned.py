"""Aligned-MTL: gradients made orthogonal and equally long, as near to the given ones as can be."""

from collections.abc import Sequence
from typing import Final, Literal, final

import numpy as np
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.cosines import RANK, Cosines
from trunkline.errors import UserError

SHORTEST: Final = 1e-14
"""Singular values below this share of the largest are rounding."""


@final
class AlignedMTL(GramianBalancer):
    """B·1/T with B = √s·V·Λ^(-1/2)·Vᵀ from G = V·Λ·Vᵀ (Senushkin et al. 2023, arXiv 2305.19000, algorithm 1).

    The gradients' matrix gets condition number 1: its principal components stay, their lengths become √s. Weights may
    be negative.

    NOTE[DIFF]: the rank is that of the cosines, and Λ comes from singular values, so a short gradient is not taken for
    a dependent one, unless it is shorter than 1e-14 of the longest. A zero gradient is left out, with weight 0.

    Args:
        rescale: as in `GramianBalancer`; False for the paper's scale of a Gramian with largest diagonal 1.
        scale: s, `"min"` for the least eigenvalue of G, `"median"`, or `"rmse"` for their mean (as the authors' code).

    Raises:
        UserError: an unknown scale.
    """

    def __init__(self, *, rescale: bool = True, scale: Literal["min", "median", "rmse"] = "min") -> None:
        super().__init__(rescale=rescale)
        if scale not in ("min", "median", "rmse"):
            raise UserError(f"aligned's scale must be 'min', 'median' or 'rmse', got {scale!r}")
        self.scale = scale

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]`, of either sign."""
        cosines = Cosines.of(gramian)
        if not len(cosines):
            return cosines.weights(cosines.norms)
        values, vectors = np.linalg.eigh(cosines.matrix)
        kept = values > max(RANK, -4.0 * values[0])
        # G = F·Fᵀ; the singular values of F reach to twice the digits that eigenvalues of G would.
        factor = cosines.norms[:, None] * vectors[:, kept] * np.sqrt(values[kept])
        left, singular, _ = np.linalg.svd(factor, full_matrices=False)
        kept = singular > SHORTEST * singular[0]
        left, singular = left[:, kept], singular[kept]
        if self.scale == "min":
            scale = singular[-1]
        elif self.scale == "median":
            scale = singular[len(singular) // 2]  # the lower of the two middle ones, in descending order
        else:
            scale = np.sqrt((singular**2).mean())
        balanced = left @ (left.sum(axis=0) * (scale / singular)) / len(gramian)
        return cosines.weights(balanced * cosines.norms)
