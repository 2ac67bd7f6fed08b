"""Aligned-MTL: gradients made orthogonal and equally long, as near to the given ones as can be."""

from collections.abc import Sequence
from typing import Final, Literal, final

import numpy as np
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.cosines import RANK, Cosines
from trunkline.balance.solvers.graded_svd import graded_svd
from trunkline.errors import UserError

SHORTEST: Final = 1e-14
"""Of linearly dependent gradients, singular values below this share of the largest are rounding."""


@final
class AlignedMTL(GramianBalancer):
    """B·1/T with B = √s·V·Λ^(-1/2)·Vᵀ from G = V·Λ·Vᵀ (Senushkin et al. 2023, arXiv 2305.19000, algorithm 1).

    The gradients' matrix gets condition number 1: its principal components stay, their lengths become √s. Weights may
    be negative.

    NOTE[DIFF]: the rank is that of the cosines, so a short gradient is not taken for a dependent one. A zero gradient
    is left out, with weight 0.

    Weight times norm of independent gradients has an error of about ε·κ(C) of the largest, C the matrix of cosines,
    however differently long they are: with G = D·C·D and C = B·Bᵀ, G^(-1/2) = D⁻¹·B⁻ᵀ·Q, Q the orthogonal polar
    factor of Bᵀ·D, and a relative error in B moves Q by as much, whatever D (Li 1997, SIAM J. Matrix Anal. 18(1)).

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
        roots = np.sqrt(values[kept])
        factor = roots[:, None] * vectors[:, kept].T * cosines.norms  # Bᵀ·D
        if kept.all():
            left, singular, right = graded_svd(factor)
        else:
            left, singular, rows = np.linalg.svd(factor, full_matrices=False)
            alive = singular > SHORTEST * singular[0]
            left, singular, right = left[:, alive], singular[alive], rows[alive].T
        descending = np.sort(singular)[::-1]
        if self.scale == "min":
            scale = descending[-1]
        elif self.scale == "median":
            scale = descending[len(descending) // 2]  # the lower of the two middle ones
        else:
            scale = np.sqrt((descending**2).mean())
        sums = right.sum(axis=0)
        root = vectors @ (left @ sums / roots) if kept.all() else cosines.norms * (right @ (sums / singular))
        return cosines.weights(root * (scale / len(gramian)))
