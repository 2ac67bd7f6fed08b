"""Zero-inflated lognormal: how much, where most often it is nothing."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.tasks.base import INTERVAL, Task, learned
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.links import safe_exp, squareplus
from trunkline.tasks.units import check_units

SIGMA_MIN = 0.01
"""Least σ in standardised log units, 1 % of the spread of the training labels above 0: amounts that repeat, such as
prices, would draw a free σ to 0 and the loss below every bound. From this floor the loss is 0 or more."""


@final
@dataclass(frozen=True, kw_only=True)
class ZeroInflatedLognormal(Task):
    """A label that is 0 with probability 1 - p and lognormal otherwise; the estimate is the mean (arXiv 1912.07753).

    The raw outputs are the logit of p, then μ and, through `SIGMA_MIN + squareplus`, σ of log y in standardised log
    units. Uncertainty weighting adds the temperature form e^(-s)·L + ½·s to the whole.

    NOTE[DIFF]: the paper makes σ of a softplus; squareplus, like it, is straight for large outputs, and finds back
    from small ones. The paper works in log y itself; the standardised unit moves the start alone.

    Attributes:
        log_center: mean of log y over the training labels above 0, or 0.
        log_scale: standard deviation of log y over the training labels above 0, or 1.

    Raises:
        UserError: a log_scale that is not a positive finite number.
    """

    log_center: float = learned(0.0)
    log_scale: float = learned(1.0)

    kind: ClassVar[str] = "zero_inflated_lognormal"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "spearman", "gini", "ndcg", "auc_positive", "bias")
    headline: ClassVar[str] = "gini"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "a zero_inflated_lognormal label is 0 or a number above 0"

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        check_units(self.name, self.log_center, self.log_scale)

    @property
    def outputs(self) -> int:
        """The logit of p; μ and σ of log y."""
        return 3

    @property
    def signal_width(self) -> int:
        """The logit of p; μ and the raw width in standardised log units."""
        return 3

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy of y > 0 in nats and, where y > 0, ½·((log y - μ)/σ)² + log(σ/SIGMA_MIN).

        raw `[N, 3]`, label `[N]` -> `[N]`; the terms of y alone, log y and log √2π, are left out.
        """
        positive = label > 0
        log = torch.where(positive, label, 1.0).log()
        sigma = SIGMA_MIN + squareplus(raw[:, 2])
        error = (((log - self.log_center) / self.log_scale).to(raw.dtype) - raw[:, 1]) / sigma
        amount = 0.5 * error.square() + (sigma / SIGMA_MIN).log()
        zero_or_not = F.binary_cross_entropy_with_logits(raw[:, 0], positive.to(raw.dtype), reduction="none")
        return zero_or_not + torch.where(positive, amount, 0.0)

    def estimate(self, raw: Tensor) -> Tensor:
        """The mean p·exp(μ + ½·σ²) in the label's unit: raw `[N, 3]` -> `[N]`."""
        mu, sigma = self._log(raw)
        return safe_exp(F.logsigmoid(raw[:, 0]) + mu + 0.5 * sigma.square())

    def signal(self, raw: Tensor) -> Tensor:
        """The logit of p; μ and the raw width in standardised log units: raw `[N, 3]` -> `[N, 3]`."""
        return raw

    def interval(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The 5 % and the 95 % quantile, 0 where no more than that share is above 0: raw `[N, 3]` -> `[N]` each.

        With both ends counted in, it holds more than 90 % of the labels wherever an end is 0.
        """
        return self._quantile(raw, (1 - INTERVAL) / 2), self._quantile(raw, (1 + INTERVAL) / 2)

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """The probability p that there is any, the mean if so, and the interval: raw `[N, 3]` -> `[N]` each."""
        mu, sigma = self._log(raw)
        low, high = self.interval(raw)
        return {
            "probability": torch.sigmoid(raw[:, 0]),
            "if_positive": safe_exp(mu + 0.5 * sigma.square()),
            "low": low,
            "high": high,
        }

    def allowed(self, label: Tensor) -> Tensor:
        """0 and numbers above."""
        return label >= 0

    def learn(self, facts: LabelFacts) -> Self:
        """In units of log y over the training rows above 0.

        Raises:
            UserError: labels above 0 that do not differ, or none.
        """
        if not facts.log_std > 0:
            raise UserError(
                f"task {self.name}: the labels of column {self.column!r} in train are 0 or "
                f"{math.exp(facts.log_mean):g}; a binary task says as much"
            )
        return replace(self, log_center=facts.log_mean, log_scale=facts.log_std)

    def _log(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """μ and σ of log y `[N]` each, in its own unit."""
        return raw[:, 1] * self.log_scale + self.log_center, (SIGMA_MIN + squareplus(raw[:, 2])) * self.log_scale

    def _quantile(self, raw: Tensor, level: float) -> Tensor:
        mu, sigma = self._log(raw)
        share = 1 - (1 - level) / torch.sigmoid(raw[:, 0])  # of the labels above 0 that lie below the quantile
        full = torch.promote_types(raw.dtype, torch.float32)  # what ndtri takes
        reach = torch.special.ndtri(share.to(full).clamp(min=1e-30)).to(raw.dtype)
        return torch.where(share > 0, safe_exp(mu + sigma * reach), 0.0)
