"""FairGrad: α-fair shares of the update for all tasks."""

from collections.abc import Sequence
from typing import final

from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.solvers.cosines import Cosines, definite
from trunkline.balance.solvers.fair_point import fair_point
from trunkline.errors import UserError


@final
class FairGrad(GramianBalancer):
    """The w > 0 with G·w = w^(-1/α): its update d maximises Σ (g_i·d)^(1-α)/(1-α) (Ban, Ji 2024, arXiv 2402.15638).

    α → 0 is the plain sum, α = 1 Nash-MTL, α = 2 minimal potential delay, α → ∞ MGDA's max-min fairness.

    NOTE[DIFF]: solved to rounding by Newton's method on ½·wᵀGw - Σ φ(w); the authors' least squares stops earlier.

    NOTE[DIFF]: where no direction improves all tasks no finite solution exists; the diagonal of the cosines is raised
    by 1e-9 at most (or by as much as rounding left it below 0), and w is large. A task whose gradient is zero is left
    out, with weight 0.

    NOTE[DIFF]: beyond α of 5, gradients 1e8 apart ask for weights 1e80 apart; those that count for nothing stop short.

    Args:
        rescale: as in `GramianBalancer`; False keeps w, for a Gramian with largest diagonal 1.
        alpha: α, from 0.1 to 10.

    Raises:
        UserError: α is out of range.
    """

    def __init__(self, *, rescale: bool = True, alpha: float = 2.0) -> None:
        super().__init__(rescale=rescale)
        if not 0.1 <= alpha <= 10.0:
            raise UserError(f"fairgrad's alpha must be from 0.1 to 10, got {alpha}")
        self.alpha = alpha

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """w `[A]`, above 0 for every task with a gradient."""
        cosines = Cosines.of(gramian)
        if not len(cosines):
            return cosines.weights(cosines.norms)
        # With x_i = w_i·‖g_i‖ the equation reads C·x = ‖g‖^(1/α - 1)·x^(-1/α).
        power = 1.0 / self.alpha
        return cosines.weights(fair_point(definite(cosines.matrix), cosines.norms ** (power - 1.0), power))
