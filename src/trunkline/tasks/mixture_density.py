"""Mixture density: how much, where the answer may be one of several."""

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import ClassVar, final

import torch
from torch import Tensor

from trunkline.errors import UserError
from trunkline.tasks.base import INTERVAL
from trunkline.tasks.links import squareplus
from trunkline.tasks.standardized import StandardizedTask

SIGMA_MIN = 0.01
"""Least σ of a component in standardised units, 1 % of the training labels' spread: a component that sits on repeated
labels would otherwise shrink without end and the loss fall below every bound. From this floor the loss is 0 or more."""
BISECTIONS = 24
"""Halvings of the range that holds a quantile, to float32's resolution of it."""
REACH = NormalDist().inv_cdf((1 + INTERVAL) / 2)


@final
@dataclass(frozen=True, kw_only=True)
class MixtureDensity(StandardizedTask):
    """A real label with a mixture of Gaussians for each row; the estimate is its mean (Bishop 1994).

    The raw outputs are the C logits of the components, their C means in standardised units and, through `SIGMA_MIN +
    squareplus`, their C widths. At 0 the means are spread as the quantiles of the training labels' normal
    distribution and the mixture has its variance. Uncertainty weighting has the temperature form e^(-s)·L + ½·s.

    NOTE[DIFF]: Bishop has σ = exp(raw), which overflows; squareplus does not. The floor, and the start, are ours.

    Attributes:
        components: C, at least 1.
        standardize, center, scale: as in `StandardizedTask`.

    Raises:
        UserError: less than one component; a scale that is not a positive finite number.
    """

    components: int = 5

    kind: ClassVar[str] = "mixture_density"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "spearman", "coverage", "nll")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        StandardizedTask.__post_init__(self)
        if self.components < 1:
            raise UserError(f"task {self.name}: {self.components} components; give at least 1")
        _ = self._start  # at once: torch.compile cannot follow what is C in statistics

    @property
    def outputs(self) -> int:
        """Logit, mean and width of each component."""
        return 3 * self.components

    @property
    def signal_width(self) -> int:
        """Mean and log of the standard deviation."""
        return 2

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """-log Σ π·(SIGMA_MIN/σ)·exp(-½·((y - m)/σ)²) in standardised units, in nats.

        raw `[N, 3C]`, label `[N]` -> `[N]`. The sum is the density over the highest one possible, so at most 1.
        """
        log_share, mean, sigma = self._mixture(raw)
        error = (self.standardized(label, raw.dtype)[:, None] - mean) / sigma
        return -torch.logsumexp(log_share - 0.5 * error.square() - (sigma / SIGMA_MIN).log(), dim=1)

    def log_density(self, raw: Tensor, label: Tensor) -> Tensor:
        """Log of the density of the label in its own unit: raw `[N, 3C]`, label `[N]` -> `[N]`."""
        return -self.loss(raw, label) - math.log(SIGMA_MIN * math.sqrt(2 * math.pi) * self.scale)

    def estimate(self, raw: Tensor) -> Tensor:
        """The mean in the label's unit: raw `[N, 3C]` -> `[N]`."""
        return self.in_unit(self._moments(raw)[0])

    def signal(self, raw: Tensor) -> Tensor:
        """Mean and log of the standard deviation, in standardised units: raw `[N, 3C]` -> `[N, 2]`."""
        mean, std = self._moments(raw)
        return torch.stack([mean, std.log()], dim=1)

    def interval(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The 5 % and the 95 % quantile, where the distribution function, bisected, has them.

        raw `[N, 3C]` -> `[N]` each.
        """
        log_share, means, sigma = (part.T[:, None] for part in self._mixture(raw))  # [C, 1, N]: sums along C are fast
        share, reach = log_share.exp(), torch.tensor([[-REACH], [REACH]], dtype=raw.dtype, device=raw.device)
        level, own, root = (0.5**0.5 * reach).erf(), means + reach * sigma, 2**0.5 * sigma
        low, high = own.amin(0), own.amax(0)  # [2, N]: a quantile lies between those of the components
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            below = (share * ((middle - means) / root).erf()).sum(0) < level  # 2·Φ - 1 on both sides
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        ends = self.in_unit(0.5 * (low + high))
        return ends[0], ends[1]

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """The standard deviation `sigma` and the interval, `low` to `high`: raw `[N, 3C]` -> `[N]` each."""
        low, high = self.interval(raw)
        return {"sigma": self._moments(raw)[1] * self.scale, "low": low, "high": high}

    def _mixture(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log shares, means and σ of the components `[N, C]` each, in standardised units."""
        count = self.components
        logits, means, widths = raw[:, :count], raw[:, count : 2 * count], raw[:, 2 * count :]
        spread, width = self._start
        start = torch.tensor(spread, dtype=raw.dtype, device=raw.device)
        return torch.log_softmax(logits, dim=1), means + start, SIGMA_MIN + width * squareplus(widths)

    def _moments(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `[N]` each, in standardised units."""
        log_share, means, sigma = self._mixture(raw)
        share = log_share.exp()
        mean = (share * means).sum(1)
        return mean, (share * (sigma.square() + (means - mean[:, None]).square())).sum(1).sqrt()

    @cached_property
    def _start(self) -> tuple[tuple[float, ...], float]:
        """The components' means and their width at raw outputs of 0, in standardised units."""
        count = self.components
        spread = tuple(NormalDist().inv_cdf((place + 0.5) / count) for place in range(count))
        return spread, math.sqrt(1 - sum(value * value for value in spread) / count)
