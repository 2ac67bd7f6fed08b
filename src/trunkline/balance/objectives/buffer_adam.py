"""Adam on buffers: for numbers that a balancer learns by itself, outside the training's optimiser."""

from typing import final

import torch
from torch import Tensor, nn

from trunkline.errors import UserError


@final
class BufferAdam(nn.Module):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1) over one number a task, all of its state in buffers.

    A task that takes no part in an update keeps its number, moments and count of updates.

    Args:
        tasks: T, the number of tasks.
        lr: step size, above 0.

    Raises:
        UserError: `lr` is not above 0.
    """

    first: Tensor
    second: Tensor
    updates: Tensor

    def __init__(self, tasks: int, *, lr: float) -> None:
        super().__init__()
        if not lr > 0:
            raise UserError(f"lr {lr}: it must be above 0")
        self.lr = lr
        self.register_buffer("first", torch.zeros(tasks))
        self.register_buffer("second", torch.zeros(tasks))
        self.register_buffer("updates", torch.zeros(tasks, dtype=torch.int64))

    @torch.no_grad()
    def forward(self, values: Tensor, gradient: Tensor, active: Tensor) -> Tensor:
        """New values `[T]` after a step against `gradient` `[T]`, the old ones where `active` `[T]` is false."""
        self.updates += active
        self.first.copy_(torch.where(active, 0.9 * self.first + 0.1 * gradient, self.first))
        self.second.copy_(torch.where(active, 0.999 * self.second + 0.001 * gradient**2, self.second))
        count = self.updates.clamp(min=1).to(torch.float64)  # 1 - 0.999^k loses digits in float32
        first = self.first / (1 - 0.9**count).to(values)
        second = self.second / (1 - 0.999**count).to(values)
        return torch.where(active, values - self.lr * first / (second.sqrt() + 1e-8), values)
