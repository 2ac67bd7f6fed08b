"""Negative binomial: how many times, where counts vary more than Poisson's."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

from torch import Tensor
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.tasks.base import Task, learned
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.links import taper

DISPERSION_MIN = 0.1
"""Least α to start from: rows that look Poisson on the whole still start with a finite 1/α."""


@final
@dataclass(frozen=True, kw_only=True)
class NegativeBinomial(Task):
    """A count of mean μ and variance μ + α·μ² (NB2: Cameron and Trivedi 1986), both a row.

    The raw outputs are the logarithms of μ and α over what the training rows have on the whole. From e^10 times that
    on they grow as straight lines, not as exponentials; below e^-40 (μ) and e^-10 (α) they fall as hyperbolas.

    The likelihood has a width of its own; uncertainty weighting adds the temperature form e^(-s)·L + ½·s.

    Attributes:
        mean: of the training rows, or 1; μ at a raw output of 0.
        dispersion: (variance - mean)/mean² of the training rows, at least `DISPERSION_MIN`, or 1; α at a raw output
            of 0.

    Raises:
        UserError: a mean or a dispersion that is not a positive finite number.
    """

    mean: float = learned(1.0)
    dispersion: float = learned(1.0)

    kind: ClassVar[str] = "negative_binomial"
    metrics: ClassVar[tuple[str, ...]] = ("poisson_deviance", "rmse", "mae", "spearman", "bias")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "a negative_binomial label is a whole number, 0 or above"

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        if not all(value > 0 and math.isfinite(value) for value in (self.mean, self.dispersion)):
            raise UserError(
                f"task {self.name}: mean {self.mean}, dispersion {self.dispersion}; both must be positive and finite"
            )

    @property
    def outputs(self) -> int:
        """The logs of μ and α."""
        return 2

    @property
    def signal_width(self) -> int:
        """The logs of μ and α over the training rows' own."""
        return 2

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """-log of the probability of y, in nats: raw `[N, 2]`, label `[N]` -> `[N]`.

        Computed in float64: with 1/α in the millions, log-gamma functions of size 1e7 leave differences of order 1.
        """
        log_mean, log_alpha = self._logs(raw.double())
        y, size, odds = label.double(), (-log_alpha).exp(), log_alpha + log_mean
        ways = (y + 1).lgamma() + size.lgamma() - (y + size).lgamma()
        return (ways + size * F.softplus(odds) + y * F.softplus(-odds)).to(raw.dtype)

    def estimate(self, raw: Tensor) -> Tensor:
        """μ: raw `[N, 2]` -> `[N]`."""
        return self._logs(raw)[0].exp()

    def signal(self, raw: Tensor) -> Tensor:
        """The logs of μ and α over the training rows' own: raw `[N, 2]` -> `[N, 2]`."""
        return raw

    def interval(self, raw: Tensor) -> None:
        """None: its distribution function, an incomplete beta function, is not torch's."""
        return

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """The standard deviation √(μ + α·μ²): raw `[N, 2]` -> `[N]`."""
        log_mean, log_alpha = self._logs(raw)
        return {"sigma": (0.5 * (log_mean + F.softplus(log_alpha + log_mean))).exp()}

    def allowed(self, label: Tensor) -> Tensor:
        """Whole numbers, 0 and above."""
        return (label >= 0) & (label == label.floor())

    def learn(self, facts: LabelFacts) -> Self:
        """Around the training rows' mean and dispersion.

        Raises:
            UserError: no label above 0.
        """
        if not facts.mean > 0:
            raise UserError(f"task {self.name}: no label of column {self.column!r} in train is above 0")
        dispersion = (facts.std**2 - facts.mean) / facts.mean**2
        return replace(self, mean=facts.mean, dispersion=max(dispersion, DISPERSION_MIN))

    def _logs(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The logs of μ and α `[N]` each."""
        log_mean = math.log(self.mean) + taper(raw[:, 0], -40.0, 10.0)
        return log_mean, math.log(self.dispersion) + taper(raw[:, 1], -10.0, 10.0)
