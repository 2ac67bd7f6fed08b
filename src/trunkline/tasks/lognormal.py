"""Lognormal: how long, how much: numbers above 0 that differ by factors."""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import ClassVar, Self, final

from torch import Tensor

from trunkline.errors import UserError
from trunkline.tasks.base import INTERVAL, Task, learned
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.links import safe_exp, squareplus
from trunkline.tasks.units import check_units

SIGMA_MIN = 0.01
"""Least σ in standardised log units. A density has no bound as its width goes to 0, where labels repeat or follow from
the features; from this floor the loss is 0 or more, and a row's pull is at most 1/0.01² times its error. At 1 % of the
training labels' own spread the floor binds only where 99.99 % of the variance is explained. A lower one would add to
every loss, log(1/SIGMA_MIN) = 4.6 nats now, and so take weight from the task under uncertainty weighting."""
REACH = NormalDist().inv_cdf((1 + INTERVAL) / 2)


@final
@dataclass(frozen=True, kw_only=True)
class Lognormal(Task):
    """A label above 0 whose logarithm is Gaussian, mean and width a row; the estimate is the mean.

    The raw outputs are μ of log y in standardised log units and, through `SIGMA_MIN + squareplus`, σ (1 at 0). With
    them the likelihood has a width of its own; uncertainty weighting adds the temperature form e^(-s)·L + ½·s.

    Attributes:
        log_center: mean of log y over the training rows, or 0.
        log_scale: standard deviation of log y over the training rows, or 1.

    Raises:
        UserError: a log_scale that is not a positive finite number.
    """

    log_center: float = learned(0.0)
    log_scale: float = learned(1.0)

    kind: ClassVar[str] = "lognormal"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "log_rmse", "spearman", "coverage", "bias")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "a lognormal label is a number above 0 (with zeros: kind zero_inflated_lognormal)"

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        check_units(self.name, self.log_center, self.log_scale)

    @property
    def outputs(self) -> int:
        """μ and σ of log y."""
        return 2

    @property
    def signal_width(self) -> int:
        """μ and the raw width, in standardised log units."""
        return 2

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """½·((log y - μ)/σ)² + log(σ/SIGMA_MIN), in standardised log units: raw `[N, 2]`, label `[N]` -> `[N]`.

        The terms of y alone, log y and log √2π, are left out. A label below 1e-30 counts as that.
        """
        log = label.clamp(min=1e-30).log()
        sigma = SIGMA_MIN + squareplus(raw[:, 1])
        error = (((log - self.log_center) / self.log_scale).to(raw.dtype) - raw[:, 0]) / sigma
        return 0.5 * error.square() + (sigma / SIGMA_MIN).log()

    def estimate(self, raw: Tensor) -> Tensor:
        """The mean exp(μ + ½·σ²) in the label's unit: raw `[N, 2]` -> `[N]`."""
        mu, sigma = self._log(raw)
        return safe_exp(mu + 0.5 * sigma.square())

    def signal(self, raw: Tensor) -> Tensor:
        """μ and the raw width, in standardised log units: raw `[N, 2]` -> `[N, 2]`."""
        return raw

    def interval(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The 5 % and the 95 % quantile exp(μ ∓ 1.645·σ): raw `[N, 2]` -> `[N]` each."""
        mu, sigma = self._log(raw)
        return safe_exp(mu - REACH * sigma), safe_exp(mu + REACH * sigma)

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """The median exp(μ) and the interval, `low` to `high`: raw `[N, 2]` -> `[N]` each."""
        low, high = self.interval(raw)
        return {"median": safe_exp(self._log(raw)[0]), "low": low, "high": high}

    def allowed(self, label: Tensor) -> Tensor:
        """Numbers above 0."""
        return label > 0

    def learn(self, facts: LabelFacts) -> Self:
        """In units of the training rows' log y.

        Raises:
            UserError: labels that do not differ.
        """
        if not facts.log_std > 0:
            raise UserError(
                f"task {self.name}: all labels of column {self.column!r} in train are {math.exp(facts.log_mean):g}; "
                "there is nothing to learn"
            )
        return replace(self, log_center=facts.log_mean, log_scale=facts.log_std)

    def _log(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """μ and σ of log y `[N]` each, in its own unit."""
        return raw[:, 0] * self.log_scale + self.log_center, (SIGMA_MIN + squareplus(raw[:, 1])) * self.log_scale
