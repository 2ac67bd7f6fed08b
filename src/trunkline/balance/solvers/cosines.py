"""Normalised Gramian: cosines and norms apart, tasks without a gradient left out."""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

RANK: Final = 1e-12
"""Eigenvalues of a matrix of cosines below this are rounding, and directions along them do not exist."""


@final
@dataclass(frozen=True, eq=False)
class Cosines:
    """The Gramian of n gradients that are not zero, as norms and cosines: G_ij = norms_i·norms_j·matrix_ij.

    Solving in cosines and dividing by the norms afterwards makes the result independent of how differently long the
    gradients are: norms from 1e-12 to 1e12 give a Gramian whose condition number no solver survives.

    Attributes:
        matrix: `[n, n]` with a diagonal of 1.
        norms: `[n]`, all above 0.
        present: `[A]` boolean, false where the gradient is zero.
    """

    matrix: Floats
    norms: Floats
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, gramian: Tensor) -> "Cosines":
        """From a Gramian `[A, A]` in float64."""
        products: Floats = gramian.numpy()
        squares = products.diagonal()
        present = squares > 0.0  # a tiny gradient's square may underflow to 0, or with rounding below it
        if not present.all():
            products, squares = products[present][:, present], squares[present]
        norms = np.sqrt(squares)
        # Rounding in float32, and squares near underflow, may leave a cosine outside [-1, 1].
        matrix = np.clip(products / norms[:, None] / norms, -1.0, 1.0)
        np.fill_diagonal(matrix, 1.0)
        return cls(matrix, norms, present)

    def __len__(self) -> int:
        return len(self.norms)

    def weights(self, lengths: Floats) -> Tensor:
        """Weights `[A]` such that the n gradients take part with `lengths` `[n]`; 0 for those that are zero.

        Without any gradient all weights are 1.
        """
        if not len(self):
            return torch.ones(len(self.present), dtype=torch.float64)
        shares = np.zeros(len(self.present))
        shares[self.present] = lengths / self.norms
        return torch.from_numpy(shares)


def definite(matrix: Floats, *, least: float = 1e-9) -> Floats:
    """The symmetric matrix `[n, n]`, shifted along the diagonal where its least eigenvalue is below `least`.

    A Gramian has no negative eigenvalue; one that rounding left tells how large rounding is, and the shift reaches
    as far above 0. A matrix that is definite comes back as it is.
    """
    lowest = float(np.linalg.eigvalsh(matrix)[0])
    shift = max(least - lowest, -2.0 * lowest)
    return matrix + shift * np.eye(len(matrix)) if shift > 0.0 else matrix
