"""IMTL-L: learned scales that bring all losses to the same size."""

from typing import final

import torch
from torch import Tensor, nn

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.objectives.log_scale_clamp import clamp
from trunkline.balance.objectives.log_scale_init import LogScaleInit, Start


@final
class IMTLL(ObjectiveBalancer):
    """Σ exp(s_t)·L_t - s_t with s learned.

    Liu et al. 2021, Towards Impartial Multi-Task Learning, ICLR. The minimum over s weighs a loss by 1/L, so
    that all weighted losses are 1: twice the weight of plain uncertainty, and the same direction.

    NOTE[DIFF]: the clamp of s to [-10, 10] is ours, and so is the start: each s starts where it is best for the task's
    first observed loss above 0, -log L.

    Args:
        tasks: T, the number of tasks.
        start: `"loss"` to start each s from the task's first loss, `"zero"` to start all from 0 as the paper does.

    Attributes:
        log_scale: `[T]` parameter s; give it a learning rate of its own and no weight decay.

    Raises:
        UserError: an unknown start.
    """

    def __init__(self, tasks: int, *, start: Start = "loss") -> None:
        super().__init__(tasks)
        self.log_scale = nn.Parameter(torch.zeros(tasks))
        self.first = LogScaleInit(tasks, start)

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ exp(s)·L - s `[]` over the active of losses `[T]`."""
        self.first.initialize(self.log_scale, losses, active, lambda first: -first.log())
        s = clamp(self.log_scale)
        return torch.where(active, torch.exp(s) * losses - s, 0.0).sum()
