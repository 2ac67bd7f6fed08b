"""IMTL-L: learned scales that bring all losses to the same size."""

from typing import Literal, final

import torch
from torch import Tensor, nn

from trunkline.balance.across import mean_over_processes
from trunkline.balance.base import ObjectiveBalancer
from trunkline.balance.clamp import LIMIT, clamp
from trunkline.errors import UserError


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

    started: Tensor

    def __init__(self, tasks: int, *, start: Literal["loss", "zero"] = "loss") -> None:
        super().__init__(tasks)
        if start not in ("loss", "zero"):
            raise UserError(f"start {start!r}: it is 'loss' or 'zero'")
        self.log_scale = nn.Parameter(torch.zeros(tasks))
        self.register_buffer("started", torch.full((tasks,), start == "zero"))
        self._waiting = True
        self.register_load_state_dict_post_hook(IMTLL._look_again)  # type: ignore[no-untyped-call]

    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """Σ exp(s)·L - s `[]` over the active of losses `[T]`."""
        if self._waiting and self.training:
            self._start(losses, active)
        s = clamp(self.log_scale)
        return torch.where(active, torch.exp(s) * losses - s, 0.0).sum()

    @torch.no_grad()
    def _start(self, losses: Tensor, active: Tensor) -> None:
        losses, ready = mean_over_processes(losses, active & losses.isfinite() & (losses > 0))
        fresh = ready & ~self.started
        best = -torch.where(ready, losses, 1.0).log().clamp(-LIMIT, LIMIT)
        self.log_scale.copy_(torch.where(fresh, best, self.log_scale))
        self.started |= fresh
        self._waiting = not bool(self.started.all())

    def _look_again(self, _: object) -> None:
        self._waiting = True
