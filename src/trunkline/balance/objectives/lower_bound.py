"""Checks for methods that divide by a loss or take its logarithm."""

import torch
from torch import Tensor

from trunkline.errors import UserError


@torch.no_grad()
def check_lower_bound(losses: Tensor, active: Tensor, floor: Tensor | float, *, method: str) -> None:
    """Refuse active losses `[T]` below their floor, where the method's formula means nothing.

    Raises:
        UserError: one is; a loss that is not a number passes, for the training to refuse it.
    """
    below = active & (losses < floor)
    if below.any():
        floors = torch.as_tensor(floor, dtype=losses.dtype).expand(losses.shape).tolist()
        raise UserError(
            f"{method} needs the loss of task number {i} (from 0) to be {floors[i]:g} or more, it is {losses[i]:g}; a "
            "likelihood of continuous values may go below 0: take another method, such as uncertainty, for such a task"
            for i in below.nonzero().flatten().tolist()
        )
