"""Equal weights: every task's gradient counts the same."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from trunkline.balance.base import GramianBalancer


@final
class Equal(GramianBalancer):
    """Weights 1: the plain sum of gradients, through the fork; the baseline of all gradient methods."""

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Ones `[A]`."""
        return torch.ones(len(gramian), dtype=gramian.dtype)
