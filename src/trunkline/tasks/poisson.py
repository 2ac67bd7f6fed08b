"""Poisson: how many times?"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from trunkline.errors import UserError
from trunkline.tasks.base import Task, learned
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.links import taper


@final
@dataclass(frozen=True, kw_only=True)
class Poisson(Task):
    """A count; the raw output is the logarithm of its rate over the mean of the training rows.

    From e^10 times that mean on the rate grows as a straight line, not as an exponential: one wild row would
    otherwise send a gradient that no optimiser forgets. Below e^-40 of it, it falls no faster than a hyperbola.

    Uncertainty weighting has the temperature form e^(-s)·L + ½·s: with L half the deviance it is the extended
    quasi-likelihood of Nelder and Pregibon (1987), its e^s the dispersion of counts that vary more, or less, than
    Poisson's.

    Attributes:
        mean: of the training rows, or 1; the rate at a raw output of 0.

    Raises:
        UserError: a mean that is not a positive finite number.
    """

    mean: float = learned(1.0)

    kind: ClassVar[str] = "poisson"
    metrics: ClassVar[tuple[str, ...]] = ("poisson_deviance", "rmse", "mae", "spearman", "bias")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "a poisson label is a whole number, 0 or above"

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        if not (self.mean > 0 and math.isfinite(self.mean)):
            raise UserError(f"task {self.name}: mean {self.mean}; it must be positive and finite")

    @property
    def outputs(self) -> int:
        """The log of the rate."""
        return 1

    @property
    def signal_width(self) -> int:
        """The log of the rate over the training rows' mean."""
        return 1

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """y·log(y/rate) - y + rate, half the deviance, in nats: raw `[N, 1]`, label `[N]` -> `[N]`.

        That is the negative log-likelihood less its least value for this y, hence 0 or more, as
        y·(e^d - 1 - d) with d = log(rate/y): three large terms would leave nothing but rounding.
        """
        log_rate = taper(raw[:, 0], -40.0, 10.0)
        positive = label > 0
        distance = log_rate - (torch.where(positive, label, 1.0) / self.mean).log().to(raw.dtype)
        bent = (distance.expm1() - distance).clamp(min=0.0)  # below 0 by rounding alone
        return torch.where(positive, label.to(raw.dtype) * bent, self.mean * log_rate.exp())

    def estimate(self, raw: Tensor) -> Tensor:
        """The rate: raw `[N, 1]` -> `[N]`."""
        return self.mean * taper(raw[:, 0], -40.0, 10.0).exp()

    def signal(self, raw: Tensor) -> Tensor:
        """The log of the rate over the training rows' mean: raw `[N, 1]` -> `[N, 1]`."""
        return raw

    def interval(self, raw: Tensor) -> None:
        """None: the width of a Poisson is its mean's root, and counts in the field seldom keep to it."""
        return

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """Nothing beside the rate."""
        return {}

    def allowed(self, label: Tensor) -> Tensor:
        """Whole numbers, 0 and above."""
        return (label >= 0) & (label == label.floor())

    def learn(self, facts: LabelFacts) -> Self:
        """Around the training rows' mean.

        Raises:
            UserError: no label above 0.
        """
        if not facts.mean > 0:
            raise UserError(f"task {self.name}: no label of column {self.column!r} in train is above 0")
        return replace(self, mean=facts.mean)
