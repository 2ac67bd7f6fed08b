"""Regression: how much, with Gaussian noise of one size."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from trunkline.tasks.standardized import LocationTask


@final
@dataclass(frozen=True, kw_only=True)
class Regression(LocationTask):
    """A real label with Gaussian noise; the raw output is the mean in standardised units.

    Attributes:
        standardize, center, scale: as in `StandardizedTask`.

    Raises:
        UserError: a scale that is not a positive finite number.
    """

    kind: ClassVar[str] = "regression"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2", "spearman")
    headline: ClassVar[str] = "r2"
    exponent: ClassVar[float] = 1.0

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """½·(standardised error)²: the Gaussian negative log-likelihood at σ = scale, constant left out.

        raw `[N, 1]`, label `[N]` -> `[N]`.
        """
        return 0.5 * (self.standardized(label, raw.dtype) - raw[:, 0]).square()
