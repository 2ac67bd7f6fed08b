"""Homoscedastic uncertainty weighting: each task's noise σ is learned, and weighs its loss."""

from collections.abc import Sequence
from typing import Literal, final

import torch
import torch.distributed as dist
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

    NOTE[DIFF]: each s starts where it is best for the task's first observed loss, log(2·c·L)/c, which is near 0 for a
    loss of usual scale. From 0, a loss of thousands floods the trunk until s has caught up, and an optimiser that
    remembers squared gradients (Adam) keeps the trunk's steps tiny for thousands of steps after that.

    Args:
        tasks: T, the number of tasks.
        exponents: c, one a task (`Task.exponent`); 1 for all by default.
        start: `"loss"` to start each s from the task's first loss, `"zero"` to start all from 0 as the paper does.

    Attributes:
        log_variance: `[T]` parameter s; give it a learning rate of its own and no weight decay.

    Raises:
        UserError: not T exponents, or an unknown start.
    """

    exponents: Tensor
    started: Tensor

    def __init__(
        self, tasks: int, *, exponents: Sequence[float] | None = None, start: Literal["loss", "zero"] = "loss"
    ) -> None:
        super().__init__(tasks)
        if exponents is not None and len(exponents) != tasks:
            raise UserError(f"{tasks} tasks need {tasks} exponents, got {len(exponents)}")
        if start not in ("loss", "zero"):
            raise UserError(f"start {start!r}: it is 'loss' or 'zero'")
        self.log_variance = nn.Parameter(torch.zeros(tasks))
        self.register_buffer("exponents", torch.tensor(exponents or [1.0] * tasks, dtype=torch.float32))
        self.register_buffer("started", torch.full((tasks,), start == "zero"))
        self._waiting = True
        self.register_load_state_dict_post_hook(Uncertainty._look_again)  # type: ignore[no-untyped-call]

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ exp(-c·s)·L + ½·s `[]` over the active of losses `[T]`."""
        if self._waiting and self.training:
            self._start(losses.detach(), active)
        s = _Clamp.apply(self.log_variance)  # type: ignore[no-untyped-call]  # torch's own
        return torch.where(active, torch.exp(-self.exponents * s) * losses + 0.5 * s, 0.0).sum()

    @torch.no_grad()
    def _start(self, losses: Tensor, active: Tensor) -> None:
        # No s is best for a loss of 0 or below, which a likelihood without its constants may take.
        ready = active & losses.isfinite() & (losses > 0)
        if dist.is_available() and dist.is_initialized():
            # Every process starts from the mean over all of them, or their weights would part for good.
            sums = torch.stack([torch.where(ready, losses, 0.0), ready.to(losses.dtype)])
            dist.all_reduce(sums)
            losses, ready = sums[0] / sums[1].clamp(min=1), sums[1] > 0
        best = torch.log(2 * self.exponents * losses) / self.exponents
        fresh = ready & ~self.started
        self.log_variance.copy_(torch.where(fresh, best.clamp(-LIMIT, LIMIT), self.log_variance))
        self.started |= fresh
        self._waiting = not bool(self.started.all())

    def _look_again(self, _: object) -> None:
        self._waiting = True

    def sigma(self) -> Tensor:
        """σ `[T]`: of a regression's noise in standardised units, of other tasks the root of the temperature."""
        return torch.exp(0.5 * self.log_variance.detach().clamp(-LIMIT, LIMIT))
