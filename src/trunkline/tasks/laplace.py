"""Laplace: how much, with noise of one size whose tails are heavier than a Gaussian's."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from trunkline.tasks.base import Task, learned
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.units import check_units


@final
@dataclass(frozen=True, kw_only=True)
class Laplace(Task):
    """A real label with Laplace noise; the raw output is the median in standardised units.

    The negative log-likelihood |y - m|/b + log 2b has its own width b, which uncertainty weighting learns: with
    b = e^(s/2) it is e^(-s/2)·|y - m| + ½·s, hence the exponent ½; its σ is b in standardised units.

    Attributes:
        standardize: whether the loss is in units of the labels' standard deviation over the training rows.
        center: what stands for 0 in standardised units; the mean of the training rows, or 0.
        scale: the label's unit of the loss; the standard deviation over the training rows, or 1.

    Raises:
        UserError: a scale that is not a positive finite number.
    """

    standardize: bool = True
    center: float = learned(0.0)
    scale: float = learned(1.0)

    kind: ClassVar[str] = "laplace"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2", "spearman")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 0.5
    rule: ClassVar[str] = "labels are finite; leave the field empty where it is not observed"

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        check_units(self.name, self.center, self.scale)

    @property
    def outputs(self) -> int:
        """The median."""
        return 1

    @property
    def signal_width(self) -> int:
        """The median in standardised units."""
        return 1

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """|standardised error|: the Laplace negative log-likelihood at b = scale, constant left out.

        raw `[N, 1]`, label `[N]` -> `[N]`.
        """
        return (((label - self.center) / self.scale).to(raw.dtype) - raw[:, 0]).abs()

    def estimate(self, raw: Tensor) -> Tensor:
        """The median, which is the mean too, in the label's unit: raw `[N, 1]` -> `[N]`."""
        return raw[:, 0] * self.scale + self.center

    def signal(self, raw: Tensor) -> Tensor:
        """The median in standardised units: raw `[N, 1]` -> `[N, 1]`."""
        return raw

    def interval(self, raw: Tensor) -> None:
        """None: the noise is not the network's; a run measures it on the validation rows."""
        return

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """Nothing beside the median."""
        return {}

    def allowed(self, label: Tensor) -> Tensor:
        """Every number."""
        return torch.ones_like(label, dtype=torch.bool)

    def learn(self, facts: LabelFacts) -> Self:
        """Centred at the training rows' mean, in units of their standard deviation; itself without `standardize`."""
        return replace(self, center=facts.mean, scale=facts.std) if self.standardize else self
