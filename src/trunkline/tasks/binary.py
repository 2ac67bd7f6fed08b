"""Binary: did it happen?"""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional as F

from trunkline.tasks.base import Task
from trunkline.tasks.facts import LabelFacts


@final
@dataclass(frozen=True, kw_only=True)
class Binary(Task):
    """A Bernoulli label, 0 or 1; the raw output is the logit and the estimate the probability of 1."""

    kind: ClassVar[str] = "binary"
    metrics: ClassVar[tuple[str, ...]] = (
        "auc",
        "log_loss",
        "normalized_entropy",
        "calibration",
        "ece",
        "average_precision",
    )
    headline: ClassVar[str] = "auc"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "a binary label is 0/1 or true/false (for more values: kind multiclass or regression)"

    @property
    def outputs(self) -> int:
        """One logit."""
        return 1

    @property
    def signal_width(self) -> int:
        """The logit."""
        return 1

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy from the logit, in nats: raw `[N, 1]`, label `[N]` -> `[N]`."""
        return F.binary_cross_entropy_with_logits(raw[:, 0], label.to(raw.dtype), reduction="none")

    def estimate(self, raw: Tensor) -> Tensor:
        """Probability of 1: raw `[N, 1]` -> `[N]`."""
        return torch.sigmoid(raw[:, 0])

    def signal(self, raw: Tensor) -> Tensor:
        """The logit: raw `[N, 1]` -> `[N, 1]`."""
        return raw

    def interval(self, raw: Tensor) -> None:
        """None: a probability says it all."""
        return

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """Nothing beside the probability."""
        return {}

    def allowed(self, label: Tensor) -> Tensor:
        """0 and 1."""
        return (label == 0) | (label == 1)

    def learn(self, facts: LabelFacts) -> Self:
        """Itself: there is no unit."""
        return self
