"""Ordinal: which one of several levels that have an order?"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.tasks.base import Task, learned
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.links import ladder

Level = str | int | float | bool


@final
@dataclass(frozen=True, kw_only=True)
class Ordinal(Task):
    """A label on one of K ordered levels, given as its place 0 … K-1 (McCullagh 1980, cumulative logits).

    The raw outputs make K - 1 logits of P(place >= k), k = 1 … K-1, that fall with k: the first output moves all, the
    others set the gaps, so that the logits never cross. At 0 all levels are alike. Uncertainty weighting has the
    temperature form e^(-s)·L + ½·s.

    NOTE[DIFF]: McCullagh's gaps are one for all rows; here each row has its own, and a tower that keeps them to its
    bias has his model.

    Attributes:
        levels: all levels, lowest first; needed where they are text. Otherwise, the numbers of the training rows.
        values: the levels in order, once training rows have shown them.

    Raises:
        UserError: one level, a level twice, or one that is not finite.
    """

    levels: tuple[Level, ...] = ()
    values: tuple[Level, ...] = learned(())

    kind: ClassVar[str] = "ordinal"
    metrics: ClassVar[tuple[str, ...]] = ("log_loss", "mae", "accuracy", "spearman", "quadratic_kappa")
    headline: ClassVar[str] = "spearman"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "an ordinal label is one of its levels, text or numbers"
    leveled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        if isinstance(self.levels, str):
            raise UserError(f"task {self.name}: levels is {self.levels!r}; give a tuple, lowest first")
        for given in (self.levels, self.values):
            finite = all(isinstance(level, str) or math.isfinite(level) for level in given)
            if len(given) == 1 or len(set(given)) < len(given) or not finite:
                raise UserError(
                    f"task {self.name}: levels {list(given)}; give at least 2, all of them different and finite, "
                    "lowest first"
                )

    @property
    def numbers(self) -> tuple[float, ...]:
        """What the estimate counts in, by place: the levels where all are numbers, otherwise the places."""
        known = self.values or self.levels or (0, 1)
        numbers = [float(level) for level in known if not isinstance(level, str)]
        return tuple(numbers) if len(numbers) == len(known) else tuple(map(float, range(len(known))))

    @property
    def outputs(self) -> int:
        """One less than levels."""
        return len(self.numbers) - 1

    @property
    def signal_width(self) -> int:
        """One less than levels."""
        return len(self.numbers) - 1

    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """-log of the probability of the label's place, in nats: raw `[N, K - 1]`, place `[N]` -> `[N]`."""
        return F.nll_loss(self._log_probabilities(raw), label.long(), reduction="none")

    def probabilities(self, raw: Tensor) -> Tensor:
        """Probability of each place: raw `[N, K - 1]` -> `[N, K]`."""
        return self._log_probabilities(raw).exp()

    def estimate(self, raw: Tensor) -> Tensor:
        """The expected level, or the expected place where levels are text: raw `[N, K - 1]` -> `[N]`."""
        return self.probabilities(raw) @ torch.tensor(self.numbers, dtype=raw.dtype, device=raw.device)

    def signal(self, raw: Tensor) -> Tensor:
        """The logits of P(place >= k), k = 1 … K-1: raw `[N, K - 1]` -> `[N, K - 1]`."""
        return self._logits(raw)[0]

    def interval(self, raw: Tensor) -> None:
        """None: few levels leave no ends that hold 90 % of the labels."""
        return

    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """The likeliest level, or place where levels are text: raw `[N, K - 1]` -> `[N]`."""
        numbers = torch.tensor(self.numbers, dtype=raw.dtype, device=raw.device)
        return {"mode": numbers[self._log_probabilities(raw).argmax(1)]}

    def allowed(self, label: Tensor) -> Tensor:
        """All places: the tables know the levels."""
        return torch.ones_like(label, dtype=torch.bool)

    def learn(self, facts: LabelFacts) -> Self:
        """With the levels in their order.

        Raises:
            UserError: text without `levels`, a trained level that `levels` lacks, or a single one.
        """
        where = f"task {self.name}: column {self.column!r}"
        if self.levels:
            missing = [level for level in facts.levels if level not in self.levels]
            if missing:
                raise UserError(
                    f"{where} holds {', '.join(map(repr, missing))} in train, which levels {list(self.levels)} lack; "
                    "add them in their order"
                )
            return replace(self, values=self.levels)
        numbers = sorted(level for level in facts.levels if not isinstance(level, str))
        if len(numbers) < len(facts.levels):
            raise UserError(
                f"{where} holds text ({', '.join(map(repr, facts.levels[:5]))}), whose order nobody knows but you; "
                "name all its values in `levels`, lowest first"
            )
        if len(numbers) < 2:
            raise UserError(f"{where} has {len(numbers)} level in train; an ordinal task needs at least 2")
        return replace(self, values=tuple(numbers))

    def _logits(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of P(place >= k) `[N, K - 1]`, falling with k; how far each is above the next `[N, K - 2]`."""
        count = len(self.numbers)
        ascending = [math.log(k / (count - k)) for k in range(1, count)]
        values, gaps = ladder(raw, ascending, (count - 2) // 2)
        return values.flip(1), gaps.flip(1)

    def _log_probabilities(self, raw: Tensor) -> Tensor:
        """`[N, K]`; with a and b the logits on either side, P = σ(a) - σ(b) = σ(a)·σ(-b)·(1 - e^(b - a))."""
        logits, gaps = self._logits(raw)
        end = torch.zeros_like(raw[:, :1])
        at_least = torch.cat([end, F.logsigmoid(logits)], dim=1)
        below_next = torch.cat([F.logsigmoid(-logits), end], dim=1)
        between = torch.cat([end, (-(-gaps).expm1()).log(), end], dim=1)
        return torch.log_softmax(at_least + below_next + between, dim=1)  # sums to 1 already, but for rounding
