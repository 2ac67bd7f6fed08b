"""GradNorm: the tasks' gradients reach the trunk with norms that follow how far each task is behind."""

from typing import ClassVar, final

import torch
from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.distributed import mean_over_processes
from trunkline.balance.objectives.buffer_adam import BufferAdam
from trunkline.errors import UserError

SMALLEST = 1e-3
"""No weight falls below: from 0 a gradient's norm could not be told, and no weight would come back."""


@final
class GradNorm(ObjectiveBalancer):
    """Σ w_t·L_t with w learned to bring each ‖w_t·∇L_t‖ to mean‖w·∇L‖·r_t^α.

    Chen et al. 2018, GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks,
    arXiv 1711.02257, algorithm 1. r_t is L_t over the task's first loss, divided by the mean of these ratios: above 1
    for a task that learns slowly. After each step, `observe` takes the norms G_t = ‖w_t·∇L_t‖, and w descends, by Adam,
    along ∂/∂w of Σ |G_t - mean(G)·r_t^α| with its target held constant: sign(G_t - target)·‖∇L_t‖. The active
    tasks' weights then keep the sum they had; those of a step sum to A, the number of active tasks.

    NOTE[DIFF]: weights stay at 0.001 or more. A task's first loss is its first above 0, and a loss below 0 counts as 0
    in r.

    Args:
        tasks: T, the number of tasks.
        alpha: α >= 0, how strongly slow tasks are favoured; 0 asks for equal norms.
        lr: the weights' learning rate, above 0.

    Raises:
        UserError: an α below 0 or an lr not above 0.
    """

    observes: ClassVar[frozenset[str]] = frozenset({"norms"})

    weights: Tensor
    first: Tensor
    started: Tensor
    losses: Tensor
    waiting: Tensor

    def __init__(self, tasks: int, *, alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__(tasks)
        if not alpha >= 0:
            raise UserError(f"alpha {alpha}: it must be 0 or more")
        self.alpha = alpha
        self.adam = BufferAdam(tasks, lr=lr)
        self.register_buffer("weights", torch.ones(tasks))
        self.register_buffer("first", torch.ones(tasks))
        self.register_buffer("started", torch.zeros(tasks, dtype=torch.bool))
        self.register_buffer("losses", torch.zeros(tasks))  # of the step whose norms are awaited
        self.register_buffer("waiting", torch.zeros(tasks, dtype=torch.bool))  # its active tasks

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ w·L `[]` over the active of losses `[T]`."""
        seen, present = mean_over_processes(losses, active) if self.training else (losses.detach(), active)
        if self.training:
            self._remember(seen, present)
        return (self._scaled(present).to(losses) * losses).sum()

    @torch.no_grad()
    def _remember(self, losses: Tensor, active: Tensor) -> None:
        fresh = active & ~self.started & losses.isfinite() & (losses > 0)
        self.first.copy_(torch.where(fresh, losses, self.first))
        self.started |= fresh
        self.losses.copy_(losses)
        self.waiting.copy_(active)

    def _scaled(self, active: Tensor) -> Tensor:
        weights = torch.where(active, self.weights, 0.0)
        return weights * (active.sum() / weights.sum().clamp(min=SMALLEST))

    @torch.no_grad()
    def update(self, active: Tensor, *, losses: Tensor | None, norms: Tensor | None) -> None:
        """Move the weights after a training step, from the norms `[T]` of its weighted losses' gradients."""
        assert norms is not None
        if not self.training:
            return
        before = self._scaled(self.waiting)
        told = active & self.waiting & self.started & self.losses.isfinite() & norms.isfinite()
        self.waiting.zero_()
        norms, present = mean_over_processes(norms.to(before), told)
        count = present.sum().clamp(min=1)
        ratios = torch.where(present, (self.losses / self.first).clamp(min=0), 0.0)
        mean = ratios.sum() / count
        rates = torch.where(mean > 0, ratios / mean, 1.0)
        targets = norms.sum() / count * rates**self.alpha
        slope = torch.sign(norms - targets) * norms / before.clamp(min=SMALLEST)
        moved = self.adam(self.weights, slope, present).clamp(min=SMALLEST)
        old, new = (torch.where(present, weights, 0.0).sum() for weights in (self.weights, moved))
        moved = torch.where(present, (moved * (old / new)).clamp(min=SMALLEST), self.weights)
        self.weights.copy_(moved)
