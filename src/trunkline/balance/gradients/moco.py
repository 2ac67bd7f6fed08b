"""MoCo: track each task's gradient, and weigh the tracked ones against one another."""

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from trunkline.balance.base import JacobianBalancer
from trunkline.errors import UserError


@final
class MoCo(JacobianBalancer):
    """Corrects the bias of stochastic multi-gradients by a moving average of each task's gradient.

    Fernando et al. 2023, Mitigating Gradient Bias in Multi-objective Learning, ICLR 2023, algorithm 1: at step k
    y_t ← y_t - β_k·(y_t - g_t), then λ ← Π_Δ(λ - γ_k·(YYᵀ + ρI)·λ); the update is Σ λ_t·y_t. β_k = β/k^σ, γ_k = γ/k^σ.

    NOTE[DIFF]: the update is scaled by the number of active tasks unless `rescale=False`, so that the learning rate
    means what it does under a sum; the Gramian of Y is taken relative to its largest diagonal entry, so that γ does
    not depend on the gradients' unit.

    Args:
        tasks: T.
        parameters: P, how many coordinates the gradients have; Y takes T·P numbers.
        beta: rate of the moving averages, in (0, 1].
        gamma: rate of λ, > 0.
        rho: pull of λ towards equality, >= 0.
        sigma: decay exponent of both rates, >= 0.
        rescale: see above.

    Raises:
        UserError: a rate out of range.
    """

    at_fork: ClassVar[bool] = False
    tracked: Tensor
    mixture: Tensor
    steps: Tensor

    def __init__(
        self,
        tasks: int,
        parameters: int,
        *,
        beta: float = 0.5,
        gamma: float = 0.1,
        rho: float = 0.0,
        sigma: float = 0.5,
        rescale: bool = True,
    ) -> None:
        super().__init__()
        if not (0 < beta <= 1 and gamma > 0 and rho >= 0 and sigma >= 0):
            raise UserError(
                f"moco beta {beta}, gamma {gamma}, rho {rho}, sigma {sigma}: beta in (0, 1], gamma above 0, "
                "rho and sigma 0 or above"
            )
        self.beta, self.gamma, self.rho, self.sigma, self.rescale = beta, gamma, rho, sigma, rescale
        self.register_buffer("tracked", torch.zeros(tasks, parameters))
        self.register_buffer("mixture", torch.full((tasks,), 1 / tasks))
        self.register_buffer("weights", torch.ones(tasks))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def combine(self, jacobian: Tensor, active: Sequence[int]) -> Tensor:
        """Σ λ_t·y_t `[P]` of the active tasks, whose gradients `[A, P]` move y."""
        if jacobian.shape[1] != self.tracked.shape[1]:
            raise UserError(
                f"moco was made for {self.tracked.shape[1]} shared coordinates, the gradients have "
                f"{jacobian.shape[1]}; count the shared parameters that need a gradient"
            )
        self.steps += 1
        decay = float(self.steps) ** -self.sigma
        chosen = list(active)
        tracked = self.tracked[chosen]
        tracked = tracked - self.beta * decay * (tracked - jacobian.to(tracked))
        self.tracked[chosen] = tracked
        gramian = tracked @ tracked.T
        gramian = gramian / gramian.diagonal().max().clamp(min=torch.finfo(gramian.dtype).tiny)
        own = self.mixture[chosen]
        share = own.sum()
        step = gramian @ own + self.rho * own
        # The active tasks keep between them the share of the mixture that they had.
        self.mixture[chosen] = _onto_simplex(own - self.gamma * decay * step, share)
        own = self.mixture[chosen]
        own = own / own.sum() if own.sum() > 0 else torch.full_like(own, 1 / len(chosen))
        own = own * len(chosen) if self.rescale else own
        self.weights.zero_()
        self.weights[chosen] = own
        return torch.mv(tracked.T, own).to(jacobian)


def _onto_simplex(point: Tensor, total: Tensor) -> Tensor:
    """The nearest point with entries >= 0 that sum to `total` (Duchi et al. 2008, figure 1)."""
    ordered = point.sort(descending=True).values
    excess = (ordered.cumsum(0) - total) / torch.arange(1, len(point) + 1, dtype=point.dtype, device=point.device)
    last = int((ordered >= excess).nonzero().max())
    nearest: Tensor = (point - excess[last]).clamp(min=0)
    return nearest
