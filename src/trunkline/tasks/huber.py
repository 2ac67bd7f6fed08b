"""Huber: how much, where errors beyond a threshold count by their size and not its square."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.tasks.base import Task, learned
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.units import check_units


@final
@dataclass(frozen=True, kw_only=True)
class Huber(Task):
    """A real label with noise that is Gaussian up to `delta` and Laplace beyond (Huber 1964).

    The raw output is the centre of the noise in standardised units. Uncertainty weighting has the temperature form
    e^(-s)·L + ½·s, that of a squared error within `delta`, hence the exponent 1; its σ is close to the standard
    deviation of the noise where few errors are beyond.

    NOTE[DIFF]: the density whose tempered form this is has a constant that depends on s; the objective leaves it out.

    Attributes:
        delta: error in standardised units from which the loss is straight.
        standardize: whether the loss is in units of the labels' standard deviation over the training rows.
        center: what stands for 0 in standardised units; the mean of the training rows, or 0.
        scale: the label's unit of the loss; the standard deviation over the training rows, or 1.

    Raises:
        UserError: a delta or a scale that is not a positive finite number.
    """

    delta: float = 1.0
    standardize: bool = True
    center: float = learned(0.0)
    scale: float = learned(1.0)

    kind: ClassVar[str] = "huber"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2", "spearman")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "labels are finite; leave the field empty where it is not observed"

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        check_units(self.name, self.center, self.scale)
        if not (self.delta > 0 and math.isfinite(self.delta)):
            raise UserError(f"task {self.name}: delta {self.delta}; give a number above 0, in standard deviations")

    @property
    def outputs(self) -> int:
        """The centre."""
        return 1

    @property
    def signal_width(self) -> int:
        """The centre in standardised units."""
        return 1

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """½·e² up to |e| = delta, delta·(|e| - ½·delta) beyond, of the standardised error e.

        raw `[N, 1]`, label `[N]` -> `[N]`.
        """
        target = ((label - self.center) / self.scale).to(raw.dtype)
        return F.huber_loss(raw[:, 0], target, reduction="none", delta=self.delta)

    def estimate(self, raw: Tensor) -> Tensor:
        """The centre in the label's unit: raw `[N, 1]` -> `[N]`."""
        return raw[:, 0] * self.scale + self.center

    def signal(self, raw: Tensor) -> Tensor:
        """The centre in standardised units: raw `[N, 1]` -> `[N, 1]`."""
        return raw

    def interval(self, raw: Tensor) -> None:
        """None: the noise is not the network's; a run measures it on the validation rows."""
        return

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """Nothing beside the centre."""
        return {}

    def allowed(self, label: Tensor) -> Tensor:
        """Every number."""
        return torch.ones_like(label, dtype=torch.bool)

    def learn(self, facts: LabelFacts) -> Self:
        """Centred at the training rows' mean, in units of their standard deviation; itself without `standardize`."""
        return replace(self, center=facts.mean, scale=facts.std) if self.standardize else self
