"""Multiclass: which one of several?"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.tasks.base import Task, learned
from trunkline.tasks.facts import LabelFacts


@final
@dataclass(frozen=True, kw_only=True)
class Multiclass(Task):
    """A categorical label given as class index 0 … classes-1; the raw outputs are the classes' logits.

    Attributes:
        classes: number of classes, at least 2.

    Raises:
        UserError: fewer than two classes.
    """

    classes: int = learned(2)

    kind: ClassVar[str] = "multiclass"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "log_loss", "macro_auc")
    headline: ClassVar[str] = "macro_auc"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "a multiclass label is text or numbers"
    leveled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        if self.classes < 2:
            raise UserError(f"task {self.name}: {self.classes} classes; a multiclass task needs at least 2")

    @property
    def outputs(self) -> int:
        """One logit a class."""
        return self.classes

    @property
    def signal_width(self) -> int:
        """One log-probability a class."""
        return self.classes

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy in nats: raw `[N, classes]`, class index `[N]` -> `[N]`."""
        return F.cross_entropy(raw, label.long(), reduction="none")

    def estimate(self, raw: Tensor) -> Tensor:
        """Probability of each class: raw `[N, classes]` -> `[N, classes]`."""
        return torch.softmax(raw, dim=1)

    def signal(self, raw: Tensor) -> Tensor:
        """Log-probabilities: raw `[N, classes]` -> `[N, classes]`."""
        return torch.log_softmax(raw, dim=1)

    def interval(self, raw: Tensor) -> None:
        """None: classes have no order."""
        return

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """Nothing beside the probabilities."""
        return {}

    def allowed(self, label: Tensor) -> Tensor:
        """All places: the tables know the classes."""
        return torch.ones_like(label, dtype=torch.bool)

    def learn(self, facts: LabelFacts) -> Self:
        """As many classes as the training rows have."""
        return replace(self, classes=len(facts.levels))
