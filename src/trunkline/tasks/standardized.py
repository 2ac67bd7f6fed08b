"""Standardised likelihoods: the loss is in units of the training labels' standard deviation."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from trunkline.tasks.base import Task, learned
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.units import check_units


@dataclass(frozen=True, kw_only=True)
class StandardizedTask(Task):
    """A real number, standardised on the training rows; estimates come back in the label's own unit.

    Attributes:
        standardize: whether the loss is in units of the labels' standard deviation over the training rows.
        center: what stands for 0 in standardised units; the mean of the training rows, or 0.
        scale: the label's unit of the loss; the standard deviation over the training rows, or 1. With
            `center=0, scale=1` the loss is in the label's own unit.

    Raises:
        UserError: a scale that is not a positive finite number.
    """

    standardize: bool = True
    center: float = learned(0.0)
    scale: float = learned(1.0)

    rule: ClassVar[str] = "labels are finite; leave the field empty where it is not observed"

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        check_units(self.name, self.center, self.scale)

    def standardized(self, label: Tensor, dtype: torch.dtype) -> Tensor:
        """Labels `[N]` in standardised units; the subtraction is done in the label's own precision."""
        return ((label - self.center) / self.scale).to(dtype)

    def in_unit(self, values: Tensor) -> Tensor:
        """Standardised values of any shape in the label's own unit."""
        return values * self.scale + self.center

    def allowed(self, label: Tensor) -> Tensor:
        """Any."""
        return torch.ones_like(label, dtype=torch.bool)

    def learn(self, facts: LabelFacts) -> Self:
        """The same task in the units of the training rows."""
        return replace(self, center=facts.mean, scale=facts.std) if self.standardize else self


@dataclass(frozen=True, kw_only=True)
class LocationTask(StandardizedTask):
    """One raw output, the centre of noise that the loss has no width for: the run measures it on its residuals."""

    residual_scale: ClassVar[bool] = True

    @property
    def outputs(self) -> int:
        """The centre."""
        return 1

    @property
    def signal_width(self) -> int:
        """The centre."""
        return 1

    def estimate(self, raw: Tensor) -> Tensor:
        """The centre in the label's unit: raw `[N, 1]` -> `[N]`."""
        return self.in_unit(raw[:, 0])

    def signal(self, raw: Tensor) -> Tensor:
        """The standardised centre `[N, 1]`."""
        return raw

    def interval(self, raw: Tensor) -> None:
        """None: the likelihood has no width of its own."""
        return

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """Nothing."""
        return {}
