"""Revised uncertainty weighting: a regulariser that never rewards a small σ keeps the objective above 0."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.objectives.log_scale_clamp import LIMIT, clamp
from trunkline.balance.objectives.log_scale_init import LogScaleInit, Start
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

    def __init__(self, tasks: int, *, exponents: Sequence[float] | None = None, start: Start = "loss") -> None:
        super().__init__(tasks)
        if exponents is not None and len(exponents) != tasks:
            raise UserError(f"{tasks} tasks need {tasks} exponents, got {len(exponents)}")
        if exponents is not None and not all(c > 0 for c in exponents):
            raise UserError(f"exponents {list(exponents)}: each must be above 0")
        self.log_variance = nn.Parameter(torch.zeros(tasks))
        self.register_buffer("exponents", torch.tensor(exponents or [1.0] * tasks, dtype=torch.float32))
        self.first = LogScaleInit(tasks, start)

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ exp(-c·s)·L + log(1 + exp(s)) `[]` over the active of losses `[T]`."""
        self.first.initialize(self.log_variance, losses, active, self.best)
        s = clamp(self.log_variance)
        return torch.where(active, torch.exp(-self.exponents * s) * losses + F.softplus(s), 0.0).sum()

    @torch.no_grad()
    def best(self, losses: Tensor) -> Tensor:
        """The s `[T]` at which the objective is smallest for losses `[T]` above 0."""
        s, target = torch.zeros_like(losses), torch.log(self.exponents * losses)
        for _ in range(20):  # Newton on a rising concave function: below the root after one step, then upwards
            s = s - (self.exponents * s + F.logsigmoid(s) - target) / (self.exponents + torch.sigmoid(-s))
        return s

    def sigma(self) -> Tensor:
        """σ `[T]`: of a regression's noise in standardised units, of other tasks the root of the temperature."""
        return torch.exp(0.5 * self.log_variance.detach().clamp(-LIMIT, LIMIT))
