"""Uncertainty weighting whose regulariser never rewards a small σ: the objective stays above 0."""

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.balance.across import mean_over_processes
from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.clamp import LIMIT, clamp
from trunkline.errors import UserError


@final
class RevisedUncertainty(ObjectiveBalancer):
    """Σ exp(-c_t·s_t)·L_t + log(1 + exp(s_t)) with s_t = log σ_t² learned.

    Liebel and Körner 2018, Auxiliary Tasks in Multi-task Learning, arXiv 1805.06334: log(1 + σ²) takes the place of
    log σ. With losses of 0 or more the objective is 0 or more, and a loss near 0 gets the weight 1/√L where
    plain uncertainty gives 1/(2L); a large loss gets 1/L (both at c = 1).

    NOTE[DIFF]: the paper halves every loss; here a loss is a negative log-likelihood at unit scale, which for a
    Gaussian holds that half already, and other likelihoods have an exponent c in its place.

    NOTE[DIFF]: the clamp of s to [-10, 10] is ours, and so is the start: each s starts where it is best for the
    task's first observed loss above 0, the root of c·s + log(1/(1 + exp(-s))) = log(c·L). At c = 1 that is
    σ² = (L + √(L² + 4L))/2.

    Args:
        tasks: T, the number of tasks.
        exponents: c, one number above 0 a task (`Task.exponent`); 1 for all by default.
        start: `"loss"` to start each s from the task's first loss, `"zero"` to start all from 0.

    Attributes:
        log_variance: `[T]` parameter s; give it a learning rate of its own and no weight decay.

    Raises:
        UserError: not T exponents, one that is not above 0, or an unknown start.
    """

    exponents: Tensor
    started: Tensor

    def __init__(
        self, tasks: int, *, exponents: Sequence[float] | None = None, start: Literal["loss", "zero"] = "loss"
    ) -> None:
        super().__init__(tasks)
        if exponents is not None and len(exponents) != tasks:
            raise UserError(f"{tasks} tasks need {tasks} exponents, got {len(exponents)}")
        if exponents is not None and not all(c > 0 for c in exponents):
            raise UserError(f"exponents {list(exponents)}: each must be above 0")
        if start not in ("loss", "zero"):
            raise UserError(f"start {start!r}: it is 'loss' or 'zero'")
        self.log_variance = nn.Parameter(torch.zeros(tasks))
        self.register_buffer("exponents", torch.tensor(exponents or [1.0] * tasks, dtype=torch.float32))
        self.register_buffer("started", torch.full((tasks,), start == "zero"))
        self._waiting = True
        self.register_load_state_dict_post_hook(RevisedUncertainty._look_again)  # type: ignore[no-untyped-call]

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ exp(-c·s)·L + log(1 + exp(s)) `[]` over the active of losses `[T]`."""
        if self._waiting and self.training:
            self._start(losses, active)
        s = clamp(self.log_variance)
        return torch.where(active, torch.exp(-self.exponents * s) * losses + F.softplus(s), 0.0).sum()

    @torch.no_grad()
    def _start(self, losses: Tensor, active: Tensor) -> None:
        # No s is best for a loss of 0 or below, which a likelihood without its constants may take.
        losses, ready = mean_over_processes(losses, active & losses.isfinite() & (losses > 0))
        fresh = ready & ~self.started
        best = self.best(torch.where(ready, losses, 1.0)).clamp(-LIMIT, LIMIT)
        self.log_variance.copy_(torch.where(fresh, best, self.log_variance))
        self.started |= fresh
        self._waiting = not bool(self.started.all())

    @torch.no_grad()
    def best(self, losses: Tensor) -> Tensor:
        """The s `[T]` at which the objective is smallest for losses `[T]` above 0."""
        s, target = torch.zeros_like(losses), torch.log(self.exponents * losses)
        for _ in range(20):  # Newton on a rising concave function: below the root after one step, then upwards
            s = s - (self.exponents * s + F.logsigmoid(s) - target) / (self.exponents + torch.sigmoid(-s))
        return s

    def _look_again(self, _: object) -> None:
        self._waiting = True

    def sigma(self) -> Tensor:
        """σ `[T]`: of a regression's noise in standardised units, of other tasks the root of the temperature."""
        return torch.exp(0.5 * self.log_variance.detach().clamp(-LIMIT, LIMIT))
