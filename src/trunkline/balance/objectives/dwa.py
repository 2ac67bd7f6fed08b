"""Dynamic weight averaging: a task whose loss falls slowly counts more."""

from typing import final

import torch
from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.distributed import mean_over_processes
from trunkline.errors import UserError


@final
class DWA(ObjectiveBalancer):
    """Σ λ_t·L_t with λ = A·softmax(r/τ), r the ratio of a task's mean losses in its last two windows.

    Liu, Johns and Davison 2019, End-to-End Multi-Task Learning with Attention, arXiv 1803.10704, eq. 7. The weights
    are equal until two windows are full, and constant within one.

    NOTE[DIFF]: the paper's window is an epoch; here it is a number of steps, so that long epochs are followed too. A
    task without an observed loss in a window keeps its last two means, and one without two means above 0 has r = 1.

    Args:
        tasks: T, the number of tasks.
        temperature: τ above 0; the larger, the more equal the weights.
        window: steps over which losses are averaged; the steps of an epoch are the paper's.
        rescale: weights sum to A, the number of active tasks, as in the paper; False has them sum to 1.

    Raises:
        UserError: a temperature that is not above 0, or a window below 1.
    """

    sums: Tensor
    counts: Tensor
    steps: Tensor
    means: Tensor

    def __init__(self, tasks: int, *, temperature: float = 2.0, window: int = 200, rescale: bool = True) -> None:
        super().__init__(tasks)
        if not temperature > 0:
            raise UserError(f"temperature {temperature}: it must be above 0")
        if window < 1:
            raise UserError(f"window {window}: it must be 1 step or more")
        self.temperature = temperature
        self.window = window
        self.rescale = rescale
        self.register_buffer("sums", torch.zeros(tasks))
        self.register_buffer("counts", torch.zeros(tasks, dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("means", torch.zeros(2, tasks))  # of the window before the last, and of the last

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ λ·L `[]` over the active of losses `[T]`."""
        seen, present = losses.detach(), active
        if self.training:
            seen, present = mean_over_processes(losses, active)
        weights = self._weights(present).to(losses)
        if self.training:
            self._remember(seen, present)
        return (weights * losses).sum()

    def _weights(self, active: Tensor) -> Tensor:
        before, last = self.means
        known = (before > 0) & (last > 0)
        rates = torch.where(known, last / torch.where(known, before, 1.0), 1.0)
        logits = (rates / self.temperature).masked_fill(~active, -torch.inf)
        weights = torch.where(active, logits.softmax(0), 0.0)
        return weights * active.sum() if self.rescale else weights

    @torch.no_grad()
    def _remember(self, losses: Tensor, active: Tensor) -> None:
        counted = active & losses.isfinite()
        self.sums += torch.where(counted, losses, 0.0)
        self.counts += counted
        self.steps += active.any()
        full = self.steps == self.window
        moved = full & (self.counts > 0)
        newest = torch.stack([self.means[1], self.sums / self.counts.clamp(min=1)])
        self.means.copy_(torch.where(moved, newest, self.means))
        for partial in (self.sums, self.counts, self.steps):
            partial.masked_fill_(full, 0)
