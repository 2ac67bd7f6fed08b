"""Homoscedastic uncertainty weighting: each task's noise σ is learned, and weighs its loss."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.objectives.log_scale_clamp import LIMIT, clamp
from trunkline.balance.objectives.log_scale_init import LogScaleInit, Start
from trunkline.errors import UserError


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

    def __init__(self, tasks: int, *, exponents: Sequence[float] | None = None, start: Start = "loss") -> None:
        super().__init__(tasks)
        if exponents is not None and len(exponents) != tasks:
            raise UserError(f"{tasks} tasks need {tasks} exponents, got {len(exponents)}")
        self.log_variance = nn.Parameter(torch.zeros(tasks))
        self.register_buffer("exponents", torch.tensor(exponents or [1.0] * tasks, dtype=torch.float32))
        self.first = LogScaleInit(tasks, start)

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ exp(-c·s)·L + ½·s `[]` over the active of losses `[T]`."""
        self.first.initialize(
            self.log_variance, losses, active, lambda first: (2 * self.exponents * first).log() / self.exponents
        )
        s = clamp(self.log_variance)
        return torch.where(active, torch.exp(-self.exponents * s) * losses + 0.5 * s, 0.0).sum()

    def best(self, losses: Tensor) -> Tensor:
        """The s `[T]` at which the objective is smallest for losses `[T]` above 0."""
        return (2 * self.exponents * losses).log() / self.exponents

    def sigma(self) -> Tensor:
        """σ `[T]`: of a regression's noise in standardised units, of other tasks the root of the temperature."""
        return torch.exp(0.5 * self.log_variance.detach().clamp(-LIMIT, LIMIT))
