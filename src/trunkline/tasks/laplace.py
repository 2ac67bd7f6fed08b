"""Laplace: how much, with noise of one size whose tails are heavier than a Gaussian's."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from trunkline.tasks.standardized import LocationTask


@final
@dataclass(frozen=True, kw_only=True)
class Laplace(LocationTask):
    """A real label with Laplace noise; the raw output is the median in standardised units.

    The negative log-likelihood |y - m|/b + log 2b has its own width b, which uncertainty weighting learns: with
    b = e^(s/2) it is e^(-s/2)·|y - m| + ½·s, hence the exponent ½; its σ is b in standardised units.

    Attributes:
        standardize, center, scale: as in `StandardizedTask`.

    Raises:
        UserError: a scale that is not a positive finite number.
    """

    kind: ClassVar[str] = "laplace"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2", "spearman")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 0.5

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """|standardised error|: the Laplace negative log-likelihood at b = scale, constant left out.

        raw `[N, 1]`, label `[N]` -> `[N]`.
        """
        return (self.standardized(label, raw.dtype) - raw[:, 0]).abs()
