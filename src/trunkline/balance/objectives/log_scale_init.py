"""Initialisation of a learned log-scale: at the optimum for its task's first loss, or at 0."""

from collections.abc import Callable
from typing import Literal, final

import torch
from torch import Tensor, nn

from trunkline.balance.distributed import mean_over_processes
from trunkline.balance.objectives.log_scale_clamp import LIMIT
from trunkline.errors import UserError

Start = Literal["loss", "zero"]


@final
class LogScaleInit(nn.Module):
    """Puts each task's log-scale where it belongs, once, when the task shows its first loss above 0.

    Args:
        tasks: T.
        start: `"loss"`, or `"zero"` to leave all log-scales where they are.

    Attributes:
        seen: `[T]` boolean, whether a task has had its start.

    Raises:
        UserError: an unknown start.
    """

    seen: Tensor

    def __init__(self, tasks: int, start: Start) -> None:
        super().__init__()
        if start not in ("loss", "zero"):
            raise UserError(f"start {start!r}: it is 'loss' or 'zero'")
        self.register_buffer("seen", torch.full((tasks,), start == "zero"))
        self._waiting = True
        self.register_load_state_dict_post_hook(LogScaleInit._look_again)  # type: ignore[no-untyped-call]  # torch's own

    @torch.no_grad()
    def initialize(self, scales: Tensor, losses: Tensor, active: Tensor, best: Callable[[Tensor], Tensor]) -> None:
        """Set the `scales` `[T]` of tasks seen for the first time to `best(losses)`, within ±`LIMIT`; training only.

        Every process of a distributed training starts from the mean over all of them.
        """
        if not (self._waiting and self.training):
            return
        # No scale is best for a loss of 0 or below, which a likelihood without its constants may take.
        losses, ready = mean_over_processes(losses, active & losses.isfinite() & (losses > 0))
        fresh = ready & ~self.seen
        scales.copy_(torch.where(fresh, best(torch.where(ready, losses, 1.0)).clamp(-LIMIT, LIMIT), scales))
        self.seen |= fresh
        self._waiting = not bool(self.seen.all())

    def _look_again(self, _: object) -> None:
        self._waiting = True
