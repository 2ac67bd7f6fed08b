"""UPGrad: project every gradient onto the cone of directions that conflict with no task."""

from collections.abc import Sequence
from typing import final

from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.errors import UserError


@final
class UPGrad(GramianBalancer):
    """The mean of the gradients' projections onto their dual cone (Quinton, Rey 2024, arXiv 2406.16232, eq. 4).

    Solved by torchjd's weighting (the extra `trunkline[torchjd]`).

    Args:
        rescale: as in `GramianBalancer`; the paper takes the mean (`rescale=False`).

    Raises:
        UserError: torchjd or its solver is not installed.
    """

    def __init__(self, *, rescale: bool = True) -> None:
        super().__init__(rescale=rescale)
        try:
            from torchjd.aggregation import UPGradWeighting

            self.weighting = UPGradWeighting()
        except ImportError as error:
            raise UserError(
                f"upgrad needs torchjd and its solver ({error}); install them: pip install 'trunkline[torchjd]'"
            ) from error

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]` of the mean projection."""
        weights: Tensor = self.weighting(gramian)
        return weights
