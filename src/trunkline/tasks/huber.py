"""Huber: how much, where errors beyond a threshold count by their size and not its square."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.tasks.standardized import LocationTask


@final
@dataclass(frozen=True, kw_only=True)
class Huber(LocationTask):
    """A real label with noise that is Gaussian up to `delta` and Laplace beyond (Huber 1964).

    The raw output is the centre of the noise in standardised units. Uncertainty weighting has the temperature form
    e^(-s)·L + ½·s, that of a squared error within `delta`, hence the exponent 1; its σ is close to the standard
    deviation of the noise where few errors are beyond.

    NOTE[DIFF]: the density whose tempered form this is has a constant that depends on s; the objective leaves it out.

    Attributes:
        delta: error in standardised units from which the loss is straight.
        standardize, center, scale: as in `StandardizedTask`.

    Raises:
        UserError: a delta or a scale that is not a positive finite number.
    """

    delta: float = 1.0

    kind: ClassVar[str] = "huber"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2", "spearman")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        LocationTask.__post_init__(self)
        if not (self.delta > 0 and math.isfinite(self.delta)):
            raise UserError(f"task {self.name}: delta {self.delta}; give a number above 0, in standard deviations")

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """½·e² up to |e| = delta, delta·(|e| - ½·delta) beyond, of the standardised error e.

        raw `[N, 1]`, label `[N]` -> `[N]`.
        """
        target = self.standardized(label, raw.dtype)
        return F.huber_loss(raw[:, 0], target, reduction="none", delta=self.delta)
