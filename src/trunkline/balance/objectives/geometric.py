"""Geometric loss strategy: the geometric mean of the losses, blind to their scales."""

from typing import final

import torch
from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.distributed import with_group_mean
from trunkline.balance.objectives.lower_bound import check_lower_bound


@final
class Geometric(ObjectiveBalancer):
    """A·(Π L_t)^(1/A) over the A active tasks, computed in log space.

    Chennupati et al. 2019, MultiNet++, arXiv 1904.08492 (GLS). Weight of a task: the geometric mean over its
    loss, so multiplying one loss by a constant leaves the direction as it is.

    NOTE[DIFF]: the paper has no factor A; with it, equal losses count once each, as in a plain sum. The weights sum
    to A or more.

    NOTE[DIFF]: a loss of exactly 0 would stop every other task. It is left out of the step's mean: a loss at its
    minimum has no gradient. A loss below 0 has no geometric mean and is refused.

    Args:
        tasks: T, the number of tasks.
        rescale: False leaves the factor A out.

    Raises:
        UserError: in `forward`, a loss below 0.
    """

    def __init__(self, tasks: int, *, rescale: bool = True) -> None:
        super().__init__(tasks)
        self.rescale = rescale

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """A·(Π L)^(1/A) `[]` over the active of losses `[T]` that are not 0."""
        if self.training:
            losses, active = with_group_mean(losses, active)
        check_lower_bound(losses, active, 0.0, method="geometric")
        used = active & (losses != 0)
        count = used.sum()
        mean = (torch.where(used, losses, 1.0).log().sum() / count.clamp(min=1)).exp()
        return torch.where(count > 0, count * mean if self.rescale else mean, 0.0)
