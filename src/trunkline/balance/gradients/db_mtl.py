"""DB-MTL: bring every task's smoothed gradient to the largest one's norm."""

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from trunkline.balance.base import JacobianBalancer
from trunkline.errors import UserError


@final
class DBMTL(JacobianBalancer):
    """The sum of moving averages of the tasks' gradients, each scaled to the norm of the largest.

    Lin et al. 2023, Dual-Balancing for Multi-Task Learning, arXiv 2308.12029, algorithm 1, the gradient half: at step k
    ĝ_t ← g_t + β/k^σ·(ĝ_t - g_t), update Σ max_s‖ĝ_s‖/‖ĝ_t‖·ĝ_t.

    NOTE[DIFF]: the loss half, log L_t in place of L_t, is left out. In one step it changes nothing, since ∇log L_t has
    the direction of ∇L_t and norms are evened out here; but the average of ∇L_t/L_t over steps is not parallel to that
    of ∇L_t. While losses fall fast the two differ (1 - cosine .19 at step 2, .0007 at step 30, against the authors'
    code). `balance.objective: geometric`, whose gradient is that of Σ log L_t but for a factor that all tasks have in
    common, comes nearer to theirs.

    Args:
        tasks: T.
        parameters: P, how many coordinates the gradients have; the averages take T·P numbers.
        beta: weight of the past, in [0, 1].
        sigma: decay exponent of beta, >= 0.

    Raises:
        UserError: a hyper-parameter out of range.
    """

    at_fork: ClassVar[bool] = False
    averages: Tensor
    steps: Tensor

    def __init__(self, tasks: int, parameters: int, *, beta: float = 0.9, sigma: float = 0.5) -> None:
        super().__init__()
        if not (0 <= beta <= 1 and sigma >= 0):
            raise UserError(f"db_mtl beta {beta}, sigma {sigma}: beta in [0, 1], sigma 0 or above")
        self.beta, self.sigma = beta, sigma
        self.register_buffer("averages", torch.zeros(tasks, parameters))
        self.register_buffer("weights", torch.ones(tasks))
        self.register_buffer("steps", torch.zeros(tasks, dtype=torch.int64))

    def combine(self, jacobian: Tensor, active: Sequence[int]) -> Tensor:
        """The sum `[P]` of the active tasks' averages, scaled to the largest norm, after `[A, P]` moved them."""
        if jacobian.shape[1] != self.averages.shape[1]:
            raise UserError(
                f"db_mtl was made for {self.averages.shape[1]} shared coordinates, the gradients have "
                f"{jacobian.shape[1]}; count the shared parameters that need a gradient"
            )
        chosen = list(active)
        self.steps[chosen] += 1
        # A task's own count decays beta, and its first gradient is its first average: nothing drags it towards 0.
        past = self.beta * self.steps[chosen].to(self.averages) ** -self.sigma * (self.steps[chosen] > 1)
        rows = jacobian.to(self.averages)
        averages = rows + past[:, None] * (self.averages[chosen] - rows)
        self.averages[chosen] = averages
        norms = averages.norm(dim=1)
        scale = torch.where(norms > 0, norms.max() / norms.clamp(min=torch.finfo(norms.dtype).tiny), 0.0)
        self.weights.zero_()
        self.weights[chosen] = scale
        return (scale @ averages).to(jacobian)
