"""Learning rate schedules."""

import math
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch.optim import Optimizer

from trunkline.errors import UserError


class Schedule(Protocol):
    """What a learning rate is multiplied by."""

    def factor(self, step: int, steps: int) -> float:
        """The factor at `step` (0, 1, …) of `steps` in all."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class Constant:
    """The rate as it was given."""

    def factor(self, step: int, steps: int) -> float:
        """1."""
        return 1.0


@final
@dataclass(frozen=True, kw_only=True)
class WarmupCosine:
    """Linear rise from 0, then half a cosine down (Loshchilov, Hutter 2017, arXiv 1608.03983).

    Attributes:
        warmup: share of all steps in which the rate rises, in [0, 1).
        final: factor at the last step, in [0, 1].

    Raises:
        UserError: a share or a factor out of range.
    """

    warmup: float = 0.05
    final: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.warmup < 1 and 0 <= self.final <= 1):
            raise UserError(f"schedule warm-up {self.warmup}, final {self.final}: warm-up in [0, 1), final in [0, 1]")

    def factor(self, step: int, steps: int) -> float:
        """(step + 1) / warm-up steps while rising, then `final` + (1 - final)·½(1 + cos(π·progress))."""
        rising = round(self.warmup * steps)
        if step < rising:
            return (step + 1) / rising
        progress = min((step - rising) / max(steps - rising - 1, 1), 1.0)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


def set_rates(optimizer: Optimizer, *, step: int, steps: int) -> None:
    """Set each group's `lr` to its `base_lr` times its `schedule` at this step.

    Args:
        optimizer: made from `Subnets.groups`; groups without a schedule are left alone.
        step: the step about to be taken, from 0.
        steps: all steps of the training.
    """
    for group in optimizer.param_groups:
        if "schedule" in group:
            group["lr"] = group["base_lr"] * group["schedule"].factor(step, steps)


# Groups hold schedules, and optimiser states hold groups: `torch.load` with its safe default must know the two.
torch.serialization.add_safe_globals([Constant, WarmupCosine])
