"""FAMO: all losses fall at the same relative rate, at the cost of one more forward pass and no extra gradients."""

import math
from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.distributed import mean_over_processes, with_group_mean
from trunkline.balance.objectives.buffer_adam import BufferAdam
from trunkline.balance.objectives.lower_bound import check_lower_bound
from trunkline.errors import UserError

EPSILON = 1e-8
"""What a loss counts above its minimum at least."""


@final
class FAMO(ObjectiveBalancer):
    """A·c·Σ z_t·log(L_t - m_t + ε) with z = softmax(logits), c = 1/Σ z_t/(L_t - m_t + ε) constant in the backward.

    Liu et al. 2023, FAMO: Fast Adaptive Multitask Optimization, arXiv 2306.03792, algorithm 1. Weight of a task:
    A·c·z/(L - m + ε). After the step, `observe` takes the same batch's losses: the logits descend, by Adam, along
    Jᵀ·(log(L before) - log(L after)) + γ·logits with J the softmax's Jacobian, so a task that fell faster than the
    others counts less. A task takes part where it is active both before and after. Where losses fall by less than a
    few γ a step, relative to themselves, the decay keeps the logits near 0: lower it for long trainings.

    NOTE[DIFF]: the paper's weights sum to 1; here to A, the number of active tasks, unless `rescale=False`.

    NOTE[DIFF]: algorithm 1 descends plainly; Adam is from the authors' code.

    Args:
        tasks: T, the number of tasks.
        lr: the logits' learning rate, above 0.
        decay: γ >= 0, what draws the logits back to equal weights.
        min_losses: m, the least that each loss can be, in the tasks' order; 0 for all by default.
        rescale: weights sum to A rather than 1.

    Raises:
        UserError: an lr not above 0, a decay below 0, not T finite min_losses; in `forward`, a loss below its minimum.
    """

    observes: ClassVar[frozenset[str]] = frozenset({"losses"})

    min_losses: Tensor
    logits: Tensor
    before: Tensor
    waiting: Tensor

    def __init__(
        self,
        tasks: int,
        *,
        lr: float = 0.025,
        decay: float = 0.001,
        min_losses: Sequence[float] | None = None,
        rescale: bool = True,
    ) -> None:
        super().__init__(tasks)
        if not decay >= 0:
            raise UserError(f"decay {decay}: it must be 0 or more")
        if min_losses is not None and len(min_losses) != tasks:
            raise UserError(f"{tasks} tasks need {tasks} min_losses, got {len(min_losses)}")
        if min_losses is not None and not all(map(math.isfinite, min_losses)):
            raise UserError(f"min_losses {list(min_losses)}: each must be finite")
        self.decay = decay
        self.rescale = rescale
        self.adam = BufferAdam(tasks, lr=lr)
        self.register_buffer("min_losses", torch.tensor(min_losses or [0.0] * tasks, dtype=torch.float32))
        self.register_buffer("logits", torch.zeros(tasks))
        self.register_buffer("before", torch.zeros(tasks))  # the losses of the step whose outcome is awaited
        self.register_buffer("waiting", torch.zeros(tasks, dtype=torch.bool))  # its active tasks

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """A·c·Σ z·log(L - m + ε) `[]` over the active of losses `[T]`."""
        if self.training:
            losses, active = with_group_mean(losses, active)
        check_lower_bound(losses, active, self.min_losses, method="famo")
        if self.training:
            self.before.copy_(losses.detach())
            self.waiting.copy_(active)
        z, above = self._softmax(active).to(losses), torch.where(active, losses - self.min_losses + EPSILON, 1.0)
        total = (z / above.detach()).sum()
        scale = torch.where(total > 0, (active.sum() if self.rescale else 1.0) / total, 0.0)
        return (scale * z * above.log()).sum()

    @torch.no_grad()
    def update(self, active: Tensor, *, losses: Tensor | None, norms: Tensor | None) -> None:
        """Move the logits after a training step, from the same batch's losses `[T]` under the new parameters."""
        assert losses is not None
        if not self.training:
            return
        both = self.waiting & active & losses.isfinite() & self.before.isfinite()
        self.waiting.zero_()
        before, present = mean_over_processes(self.before, both)
        after, _ = mean_over_processes(losses.to(self.before), both)
        fallen = self._log(before) - self._log(after)
        z = self._softmax(present)
        slope = z * (fallen - (z * fallen).sum()) + self.decay * self.logits
        self.logits.copy_(self.adam(self.logits, slope, present))

    def _softmax(self, active: Tensor) -> Tensor:
        return torch.where(active, self.logits.masked_fill(~active, -torch.inf).softmax(0), 0.0)

    def _log(self, losses: Tensor) -> Tensor:
        return ((losses - self.min_losses).clamp(min=0) + EPSILON).log()
