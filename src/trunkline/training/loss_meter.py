"""Loss meter: what the loop averages between two lines of the history without waiting for the device."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from trunkline.errors import UserError


@final
class LossMeter:
    """Sums of losses, and the first step at which one of them was no number.

    Args:
        tasks: the tasks' names.
        device: where losses are.
        sums: what `sums` gave when the training stopped, to go on from there.
    """

    def __init__(
        self, tasks: Sequence[str], device: torch.device, *, sums: Sequence[Sequence[float]] | None = None
    ) -> None:
        self.tasks = list(tasks)
        self._never = torch.iinfo(torch.int64).max
        self._total, self._times = torch.tensor(sums or [[0.0] * len(tasks)] * 2, device=device)
        self._broken = torch.full((len(tasks),), self._never, device=device)

    @torch.no_grad()
    def see(self, step: int, losses: Tensor, active: Tensor) -> None:
        """Take in one step's losses `[T]` and active `[T]`."""
        finite = losses.isfinite()
        self._broken = torch.where(finite, self._broken, self._broken.clamp(max=step))
        self._total += losses
        self._times += active

    def check(self) -> None:
        """Stop a training whose loss was not a number.

        Raises:
            UserError: naming the task and the step.
        """
        broken = self._broken.tolist()
        first = min(broken)
        if first < self._never:
            names = ", ".join(name for name, step in zip(self.tasks, broken, strict=True) if step == first)
            raise UserError(
                f"the loss of {names} was not a number at step {first}; lower optimizer.lr, or the rate of its subnet, "
                "or look for extreme values in the features"
            )

    def sums(self) -> list[list[float]]:
        """Sums of losses and of active steps of each task since the last call of `means`."""
        return [self._total.tolist(), self._times.tolist()]

    def means(self) -> dict[str, float | None]:
        """Mean loss of each task since the last call; None where it was never active."""
        total, times = self._total.tolist(), self._times.tolist()
        self._total.zero_()
        self._times.zero_()
        return {name: t / n if n else None for name, t, n in zip(self.tasks, total, times, strict=True)}
