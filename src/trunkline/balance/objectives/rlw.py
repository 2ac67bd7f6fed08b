"""Random loss weighting: new random weights at every step, a baseline that others must beat."""

from typing import final

import torch
from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.distributed import mean_over_processes


@final
class RLW(ObjectiveBalancer):
    """Σ w_t·L_t with w = softmax(z), z standard normal, drawn anew at every step.

    Lin et al. 2022, Reasonable Effectiveness of Random Weighting, arXiv 2111.10603, algorithm 2 (normal variant).

    Draw number k is a function of (seed, k) and k is a buffer: runs repeat, resume, and agree between machines, and
    no global generator is touched. Effective weights are those of the next step.

    NOTE[DIFF]: the paper's weights sum to 1; here to A, the number of active tasks, unless `rescale=False`.

    Args:
        tasks: T, the number of tasks.
        seed: of the draws.
        rescale: weights sum to A rather than 1.
    """

    draws: Tensor

    def __init__(self, tasks: int, *, seed: int = 0, rescale: bool = True) -> None:
        super().__init__(tasks)
        self.seed = seed
        self.rescale = rescale
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ w·L `[]` over the active of losses `[T]`."""
        present = mean_over_processes(losses, active)[1] if self.training else active
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + int(self.draws)) % 2**63)
        logits = torch.randn(self.tasks, generator=generator).to(losses)
        if self.training:
            self.draws += present.any()
        weights = torch.where(present, logits.masked_fill(~present, -torch.inf).softmax(0), 0.0)
        if self.rescale:
            weights = weights * present.sum()
        return (weights * losses).sum()
