"""Binary: did it happen?"""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.tasks.base import Task, word
from trunkline.tasks.facts import LabelFacts


@final
@dataclass(frozen=True, kw_only=True)
class Binary(Task):
    """A Bernoulli label, 0 or 1; the raw output is the logit and the estimate the probability of 1.

    Attributes:
        positive: the word in the label's column that stands for 1.
        negative: the word that stands for 0; every other word unless given.

    Raises:
        UserError: `negative` without `positive`, or the same word; `positive` beside `values`.
    """

    positive: str | int | float | bool | None = None
    negative: str | int | float | bool | None = None

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

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("positive", "negative"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, word(value))
        if self.negative is not None and self.positive in (None, self.negative):
            raise UserError(f"task {self.name}: negative {self.negative!r} needs another word as positive")
        if self.positive is not None and self.meanings:
            raise UserError(f"task {self.name}: positive {self.positive!r} beside values; one of both says it")

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
