"""Quantile: how much, at several levels of the label's distribution."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import NormalDist
from typing import ClassVar, final

import torch
from torch import Tensor

from trunkline.errors import UserError
from trunkline.tasks.links import ladder
from trunkline.tasks.standardized import StandardizedTask


@final
@dataclass(frozen=True, kw_only=True)
class Quantile(StandardizedTask):
    """Quantiles of a real label that never cross; the estimate is the one nearest the median.

    The first raw output moves all quantiles, the others set the gaps between neighbours. At 0 they are those of a
    normal distribution with the training rows' mean and standard deviation.

    The pinball loss (Koenker and Bassett 1978) at level q is the negative log-likelihood of an asymmetric Laplace
    distribution of unit width b, ρ_q(y - m)/b + log b; uncertainty weighting with b = e^(s/2) is its form
    e^(-s/2)·ρ_q + ½·s, hence the exponent ½. Its σ is the mean pinball loss in standardised units.

    Attributes:
        levels: at least one, each above 0 and below 1, ascending.
        standardize, center, scale: as in `StandardizedTask`.

    Raises:
        UserError: levels that are not as above; a scale that is not a positive finite number.
    """

    levels: tuple[float, ...] = (0.1, 0.5, 0.9)

    kind: ClassVar[str] = "quantile"
    metrics: ClassVar[tuple[str, ...]] = ("pinball", "coverage", "mae", "spearman")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        StandardizedTask.__post_init__(self)
        bounded = (0.0, *self.levels, 1.0)
        if not self.levels or not all(low < high for low, high in pairwise(bounded)):
            raise UserError(
                f"task {self.name}: levels {list(self.levels)}; give at least one, each above 0 and below 1, ascending"
            )
        _ = self._start  # at once: torch.compile cannot follow what is C in statistics

    @property
    def outputs(self) -> int:
        """One a level."""
        return len(self.levels)

    @property
    def signal_width(self) -> int:
        """The quantiles in standardised units."""
        return len(self.levels)

    @property
    def middle(self) -> int:
        """Place of the level nearest ½; of two, the lower."""
        distances = [abs(level - 0.5) for level in self.levels]
        return distances.index(min(distances))

    @property
    def coverage(self) -> float:
        """Share of the labels that the interval is meant to hold: what lies between the outermost levels."""
        return self.levels[-1] - self.levels[0]

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """Mean over the levels of the pinball loss of the standardised error: raw `[N, levels]`, label `[N]` -> `[N]`.

        max(q·e, (q - 1)·e) with e the label less its quantile.
        """
        error = self.standardized(label, raw.dtype)[:, None] - self.signal(raw)
        level = torch.tensor(self.levels, dtype=raw.dtype, device=raw.device)
        return torch.maximum(level * error, (level - 1) * error).mean(1)

    def quantiles(self, raw: Tensor) -> Tensor:
        """The quantiles in the label's unit, ascending: raw `[N, levels]` -> `[N, levels]`."""
        return self.in_unit(self.signal(raw))

    def estimate(self, raw: Tensor) -> Tensor:
        """The quantile of the level nearest ½ in the label's unit: raw `[N, levels]` -> `[N]`."""
        return self.quantiles(raw)[:, self.middle]

    def signal(self, raw: Tensor) -> Tensor:
        """The quantiles in standardised units: raw `[N, levels]` -> `[N, levels]`."""
        return ladder(raw, self._start, self.middle)[0]

    def interval(self, raw: Tensor) -> tuple[Tensor, Tensor] | None:
        """The outermost quantiles `[N]` each, meant to hold `coverage`; None unless the median is between them."""
        if not self.levels[0] < 0.5 < self.levels[-1]:
            return None
        quantiles = self.quantiles(raw)
        return quantiles[:, 0], quantiles[:, -1]

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """Each quantile by its level in percent, `q10`, `q50` …: raw `[N, levels]` -> `[N]` each."""
        return {f"q{100 * level:g}": q for level, q in zip(self.levels, self.quantiles(raw).unbind(1), strict=True)}

    @cached_property
    def _start(self) -> tuple[float, ...]:
        """The quantiles at raw outputs of 0, in standardised units."""
        return tuple(NormalDist().inv_cdf(level) for level in self.levels)
