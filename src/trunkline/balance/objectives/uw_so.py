"""Soft optimal uncertainty weighting: the weights that uncertainty would learn, at once, through a softmax."""

from typing import final

import torch
from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.distributed import mean_over_processes
from trunkline.balance.objectives.lower_bound import check_lower_bound
from trunkline.errors import UserError

SMALLEST = 1e-8
"""A loss below counts as this one, so that 1/L stays finite."""


@final
class UWSO(ObjectiveBalancer):
    """Σ w_t·L_t with w = softmax(1/(τ·L)), constant in the backward.

    Kirchdorfer et al. 2024, Analytical Uncertainty-Based Loss Weighting in Multi-Task Learning, arXiv 2408.07985.
    The smaller loss gets the larger weight; a loss at 0 gets all of it. The weights depend on the losses' scale: where
    1/L is far below the temperature τ they are all but equal, so τ wants to be tried out.

    NOTE[DIFF]: the paper's weights sum to 1; here to A, the number of active tasks, unless `rescale=False`.

    Args:
        tasks: T, the number of tasks.
        temperature: τ above 0; the larger, the more equal the weights.
        rescale: weights sum to A rather than 1.

    Raises:
        UserError: a temperature that is not above 0; in `forward`, a loss below 0.
    """

    def __init__(self, tasks: int, *, temperature: float = 1.0, rescale: bool = True) -> None:
        super().__init__(tasks)
        if not temperature > 0:
            raise UserError(f"temperature {temperature}: it must be above 0")
        self.temperature = temperature
        self.rescale = rescale

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ w·L `[]` over the active of losses `[T]`."""
        check_lower_bound(losses, active, 0.0, method="uw_so")
        sizes, present = mean_over_processes(losses, active) if self.training else (losses.detach(), active)
        inverse = 1 / (self.temperature * sizes.clamp(min=SMALLEST))
        weights = torch.where(present, inverse.masked_fill(~present, -torch.inf).softmax(0), 0.0)
        if self.rescale:
            weights = weights * present.sum()
        return (weights * losses).sum()
