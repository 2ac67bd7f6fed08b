"""ExcessMTL: weigh tasks by how far each still is from its own optimum."""

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from trunkline.balance.base import JacobianBalancer
from trunkline.errors import UserError


@final
class ExcessMTL(JacobianBalancer):
    """Multiplicative weights over estimates of each task's excess risk.

    He et al. 2024, Robust Multi-Task Learning with Excess Risks, ICML 2024, equations 6, 7 and 9: with S the running
    sum of squared gradients, the excess risk is estimated by gᵀ·diag(S)^(-1/2)·g relative to the task's first, and
    w_t ← w_t·exp(η·excess_t), normalised.

    Args:
        tasks: T.
        parameters: P, how many coordinates the gradients have; S takes T·P numbers.
        step_size: η, > 0.
        rescale: weights sum to the number of active tasks; False keeps the paper's simplex.

    Raises:
        UserError: a step size that is not positive.
    """

    at_fork: ClassVar[bool] = False
    squares: Tensor
    first: Tensor
    log_mixture: Tensor

    def __init__(self, tasks: int, parameters: int, *, step_size: float = 0.01, rescale: bool = True) -> None:
        super().__init__()
        if not step_size > 0:
            raise UserError(f"excess_mtl step_size {step_size}: it must be above 0")
        self.step_size, self.rescale = step_size, rescale
        self.register_buffer("squares", torch.zeros(tasks, parameters))
        self.register_buffer("first", torch.zeros(tasks))
        self.register_buffer("log_mixture", torch.zeros(tasks))
        self.register_buffer("weights", torch.ones(tasks))

    def combine(self, jacobian: Tensor, active: Sequence[int]) -> Tensor:
        """Σ w_t·g_t `[P]` of the active tasks' gradients `[A, P]`."""
        if jacobian.shape[1] != self.squares.shape[1]:
            raise UserError(
                f"excess_mtl was made for {self.squares.shape[1]} shared coordinates, the gradients have "
                f"{jacobian.shape[1]}; count the shared parameters that need a gradient"
            )
        chosen = list(active)
        squares = jacobian.to(self.squares).square()
        self.squares[chosen] += squares
        excess = (squares / torch.sqrt(self.squares[chosen] + 1e-7)).sum(1)
        fresh = self.first[chosen] == 0
        self.first[chosen] = torch.where(fresh, excess, self.first[chosen])
        relative = excess / (self.first[chosen] + 1e-7)
        moved = self.log_mixture[chosen] + self.step_size * torch.where(fresh, 0.0, relative)
        # The active tasks keep between them the share of the mixture that they had: an absent task loses nothing.
        self.log_mixture[chosen] = moved.log_softmax(0) + self.log_mixture[chosen].logsumexp(0)
        weights = torch.softmax(self.log_mixture[chosen], dim=0)
        weights = weights * len(chosen) if self.rescale else weights
        self.weights.zero_()
        self.weights[chosen] = weights
        return weights.to(jacobian) @ jacobian
