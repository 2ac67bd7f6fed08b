"""Repeated forward passes on one batch after the step, for methods that compare losses."""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from trunkline.random_state import random_state, set_random_state


@final
class Rerun:
    """Remembers, before a forward pass, what it draws at random.

    Args:
        network: whose buffers (running statistics) a second pass must not move again.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._before = random_state()

    @torch.no_grad()
    def __call__(self, forward: Callable[[], Tensor]) -> Tensor:
        """What `forward` gives under the same draws (dropout); buffers and generators are left as they are."""
        now, buffers = random_state(), [(b, b.clone()) for b in self.network.buffers()]
        set_random_state(self._before)
        try:
            return forward()
        finally:
            set_random_state(now)
            for buffer, value in buffers:
                buffer.copy_(value)
