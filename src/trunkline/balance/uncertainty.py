"""Homoscedastic uncertainty weighting: each task's noise σ is learned, and weighs its loss."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from trunkline.balance.base import ObjectiveBalancer
from trunkline.errors import UserError

LIMIT = 10.0
"""|log σ²| at most: weights from e^-10 to e^10."""


class _Clamp(torch.autograd.Function):
    """Clamp whose gradient passes inside the bounds, and outside wherever a descent step leads back."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, s: Tensor) -> Tensor:
        ctx.save_for_backward(s)
        return s.clamp(-LIMIT, LIMIT)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (s,) = ctx.saved_tensors  # type: ignore[attr-defined]  # torch types the context without its tensors
        outward = ((s >= LIMIT) & (grads[0] < 0)) | ((s <= -LIMIT) & (grads[0] > 0))
        return torch.where(outward, 0.0, grads[0])


@final
class Uncertainty(ObjectiveBalancer):
    """Σ exp(-c_t·s_t)·L_t + ½·s_t with s_t = log σ_t² learned (Kendall, Gal, Cipolla 2018, arXiv 1705.07115, eq. 7-10).

    With L the negative log-likelihood at unit scale this is the Gaussian form ½·e^(-s)·(squared error) + ½·s, the
    temperature form e^(-s)·L + ½·s for cross-entropy and its kin (both c = 1) and the Laplace form
    e^(-s/2)·|error| + ½·s (c = ½). The minimum over s weighs a loss by 1/(2·c·L), so tasks of any scale end up equal.
    A negative objective is normal: ½·s is below 0 wherever σ is below 1.

    NOTE[DIFF]: the clamp to [-10, 10] is ours; without it a loss that reaches 0 drives its weight to infinity.

    Args:
        tasks: T, the number of tasks.
        exponents: c, one a task (`Task.exponent`); 1 for all by default.

    Attributes:
        log_variance: `[T]` parameter s, starting at 0; give it a learning rate of its own and no weight decay.

    Raises:
        UserError: not T exponents.
    """

    exponents: Tensor

    def __init__(self, tasks: int, *, exponents: Sequence[float] | None = None) -> None:
        super().__init__(tasks)
        if exponents is not None and len(exponents) != tasks:
            raise UserError(f"{tasks} tasks need {tasks} exponents, got {len(exponents)}")
        self.log_variance = nn.Parameter(torch.zeros(tasks))
        self.register_buffer("exponents", torch.tensor(exponents or [1.0] * tasks, dtype=torch.float32))

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ exp(-c·s)·L + ½·s `[]` over the active of losses `[T]`."""
        s = _Clamp.apply(self.log_variance)  # type: ignore[no-untyped-call]  # torch's own
        return torch.where(active, torch.exp(-self.exponents * s) * losses + 0.5 * s, 0.0).sum()

    def sigma(self) -> Tensor:
        """σ `[T]`: of a regression's noise in standardised units, of other tasks the root of the temperature."""
        return torch.exp(0.5 * self.log_variance.detach().clamp(-LIMIT, LIMIT))
