"""Equal weighting: the plain sum of the losses."""

from typing import final

from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer


@final
class Sum(ObjectiveBalancer):
    """Σ L_t: every loss counts as it comes, so the largest scale dominates.

    Args:
        tasks: T, the number of tasks.
    """

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ L_t `[]` over losses `[T]`."""
        return losses.sum()
