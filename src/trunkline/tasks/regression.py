"""Regression: how much, with Gaussian noise of one size."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from trunkline.errors import UserError
from trunkline.tasks.base import Task, learned
from trunkline.tasks.facts import LabelFacts


@final
@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """A real label with Gaussian noise; the raw output is the mean in standardised units.

    Attributes:
        standardize: whether the loss is in units of the labels' standard deviation over the training rows.
        center: what stands for 0 in standardised units; the mean of the training rows, or 0.
        scale: the label's unit of the loss; the standard deviation over the training rows, or 1. With
            `center=0, scale=1` the loss is in the label's own unit squared.

    Raises:
        UserError: a scale that is not a positive finite number.
    """

    standardize: bool = True
    center: float = learned(0.0)
    scale: float = learned(1.0)

    kind: ClassVar[str] = "regression"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2", "spearman")
    headline: ClassVar[str] = "r2"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "labels are finite; leave the field empty where it is not observed"

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        if not (self.scale > 0 and math.isfinite(self.scale) and math.isfinite(self.center)):
            raise UserError(
                f"task {self.name}: center {self.center}, scale {self.scale}; "
                "the scale must be positive and both must be finite"
            )

    @property
    def outputs(self) -> int:
        """The mean."""
        return 1

    @property
    def signal_width(self) -> int:
        """The mean in standardised units."""
        return 1

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """½·(standardised error)²: the Gaussian negative log-likelihood at σ = scale, constant left out.

        raw `[N, 1]`, label `[N]` -> `[N]`.
        """
        return 0.5 * (((label - self.center) / self.scale).to(raw.dtype) - raw[:, 0]).square()

    def estimate(self, raw: Tensor) -> Tensor:
        """The mean in the label's unit: raw `[N, 1]` -> `[N]`."""
        return raw[:, 0] * self.scale + self.center

    def signal(self, raw: Tensor) -> Tensor:
        """The mean in standardised units: raw `[N, 1]` -> `[N, 1]`."""
        return raw

    def interval(self, raw: Tensor) -> None:
        """None: the noise is not the network's; a run measures it on the validation rows."""
        return

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """Nothing beside the mean."""
        return {}

    def allowed(self, label: Tensor) -> Tensor:
        """Every number."""
        return torch.ones_like(label, dtype=torch.bool)

    def learn(self, facts: LabelFacts) -> Self:
        """Centred at the training rows' mean, in units of their standard deviation; itself without `standardize`."""
        return replace(self, center=facts.mean, scale=facts.std) if self.standardize else self
