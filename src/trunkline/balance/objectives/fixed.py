"""Fixed weights: a sum with weights that the user chose."""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer
from trunkline.errors import UserError


@final
class Fixed(ObjectiveBalancer):
    """Σ w_t·L_t with constant weights.

    Args:
        tasks: T, the number of tasks.
        weights: w, one number >= 0 a task, in the tasks' order, not all 0.

    Raises:
        UserError: not T weights, or one that is negative or not finite, or all 0.
    """

    weights: Tensor

    def __init__(self, tasks: int, *, weights: Sequence[float]) -> None:
        super().__init__(tasks)
        if len(weights) != tasks:
            raise UserError(f"{tasks} tasks need {tasks} fixed weights, got {len(weights)}")
        if not all(math.isfinite(w) and w >= 0 for w in weights) or not any(weights):
            raise UserError(f"fixed weights {list(weights)}: they must be finite and >= 0, and one must be above 0")
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ w_t·L_t `[]` over losses `[T]`."""
        return (self.weights * losses).sum()
