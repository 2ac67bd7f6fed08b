"""Smooth Tchebycheff: a smooth form of the worst loss, so that the task furthest from its ideal leads."""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.distributed import mean_over_processes, with_group_mean
from trunkline.balance.objectives.lower_bound import check_lower_bound
from trunkline.errors import UserError

EPSILON = 1e-8
"""What a loss counts above its ideal at least, before its logarithm is taken."""


@final
class STCH(ObjectiveBalancer):
    """A·μ·log Σ exp(λ_t·f_t/μ) over the A active tasks, f = L - z* with z* the ideal losses.

    Lin et al. 2024, Smooth Tchebycheff Scalarization for Multi-Objective Optimization, arXiv 2402.19078. Weight
    of a task: A·λ·softmax(λ·f/μ); as μ falls to 0, the worst task gets all of it. Unlike a weighted sum it reaches
    every Pareto optimum.

    Losses of different scales need `warmup`: then f = log((L - z*)/(n - z*)) with n the task's mean loss over its
    first `warmup` observed steps, as in the authors' multi-task experiments.

    NOTE[DIFF]: the paper has no factor A and its λ sum to 1; here, as in the authors' multi-task code, there is the
    factor and λ has a mean of 1 over the active tasks. So equal preferences give weights that sum to A without
    `warmup`. The paper's direction at μ' is that of μ = A·μ'.

    NOTE[DIFF]: the authors minimise Σ log L until n is known; here n is the mean so far, which begins with the same
    step and has no second phase.

    Args:
        tasks: T, the number of tasks.
        mu: μ above 0; the smaller, the closer to the worst loss.
        preference: one number above 0 a task, in the tasks' order; equal by default.
        ideal: z*, the least loss that each task can reach; 0 for all by default.
        warmup: steps that n is a mean of; 0 takes the losses as they are.
        rescale: False leaves the factor A out.

    Raises:
        UserError: a μ or preference not above 0, a warm-up below 0, not T preferences or finite ideals; in `forward`
            with a warm-up, a loss below its ideal.
    """

    preference: Tensor
    ideal: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(
        self,
        tasks: int,
        *,
        mu: float = 1.0,
        preference: Sequence[float] | None = None,
        ideal: Sequence[float] | None = None,
        warmup: int = 0,
        rescale: bool = True,
    ) -> None:
        super().__init__(tasks)
        if not mu > 0:
            raise UserError(f"mu {mu}: it must be above 0")
        if warmup < 0:
            raise UserError(f"warmup {warmup}: it must be 0 steps or more")
        for name, numbers, least in (("preference", preference, 0.0), ("ideal", ideal, -math.inf)):
            if numbers is not None and len(numbers) != tasks:
                raise UserError(f"{tasks} tasks need {tasks} numbers as {name}, got {len(numbers)}")
            if numbers is not None and not all(math.isfinite(number) and number > least for number in numbers):
                raise UserError(f"{name} {list(numbers)}: each must be finite and above {least}")
        self.mu = mu
        self.warmup = warmup
        self.rescale = rescale
        self.register_buffer("preference", torch.tensor(preference or [1.0] * tasks, dtype=torch.float32))
        self.register_buffer("ideal", torch.tensor(ideal or [0.0] * tasks, dtype=torch.float32))
        self.register_buffer("sums", torch.zeros(tasks))
        self.register_buffer("counts", torch.zeros(tasks, dtype=torch.int64))

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """A·μ·log Σ exp(λ·f/μ) `[]` over the active of losses `[T]`."""
        if self.training:
            losses, active = with_group_mean(losses, active)
        f = losses - self.ideal
        if self.warmup:
            check_lower_bound(losses, active, self.ideal, method="stch with a warm-up")
            if self.training:
                self._remember(losses, active)
            nadir = torch.where(self.counts > 0, self.sums / self.counts.clamp(min=1), losses.detach())
            f = torch.where(active, f + EPSILON, 1.0).log() - (nadir - self.ideal + EPSILON).log()
        count = active.sum()
        preference = self.preference * (count / torch.where(active, self.preference, 0.0).sum())
        exponents = torch.where(active, preference * f / self.mu, -torch.inf)
        merged = self.mu * exponents.logsumexp(0)
        return torch.where(count > 0, count * merged if self.rescale else merged, 0.0)

    @torch.no_grad()
    def _remember(self, losses: Tensor, active: Tensor) -> None:
        seen, present = mean_over_processes(losses, active & losses.isfinite())
        fresh = present & (self.counts < self.warmup)
        self.sums += torch.where(fresh, seen, 0.0)
        self.counts += fresh
