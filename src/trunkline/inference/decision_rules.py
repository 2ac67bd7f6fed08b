"""Decision rules: which threshold on a probability is the best one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from trunkline.errors import UserError
from trunkline.inference.operating_points import Floats, OperatingPoints

HELP = (
    "f1 (the greatest F1), cost:FP:FN (the least expected cost; FP is what a row costs that is flagged and should not "
    "be, a false alarm; FN one that should be flagged and is not, a miss), rate:SHARE (flags that share of rows) or "
    "at:THRESHOLD (a threshold of your own)"
)


class Rule(ABC):
    """What makes one cut of the validation rows better than another."""

    needs_labels: ClassVar[bool] = True
    """Whether rows of both labels are needed to choose."""

    @abstractmethod
    def goodness(self, points: OperatingPoints) -> Floats:
        """`[G + 1]` of each cut; the greatest is chosen, of equal ones that which flags the fewest rows."""

    def threshold(self, points: OperatingPoints) -> float:
        """The threshold from which on a row is flagged."""
        return points.threshold(int(self.goodness(points).argmax()))


@final
@dataclass(frozen=True)
class F1(Rule):
    """The greatest harmonic mean of precision and recall, 2·TP / (2·TP + FP + FN)."""

    def goodness(self, points: OperatingPoints) -> Floats:
        """F1 of each cut."""
        true, false = points.true_positive, points.false_positive
        f1: Floats = 2 * true / (true + false + true[-1])
        return f1

    def __str__(self) -> str:
        return "f1"


@final
@dataclass(frozen=True)
class Cost(Rule):
    """The least expected cost (Elkan 2001, The Foundations of Cost-Sensitive Learning).

    Attributes:
        false_positive: what a row costs that is flagged and should not be: a false alarm.
        false_negative: what a row costs that should be flagged and is not: a miss.

    Raises:
        UserError: a cost that is not above 0 and finite.
    """

    false_positive: float
    false_negative: float

    def __post_init__(self) -> None:
        if not all(0 < cost < math.inf for cost in (self.false_positive, self.false_negative)):
            raise UserError(
                f"costs {self.false_positive:g} (of a false alarm) and {self.false_negative:g} (of a miss); both must "
                "be above 0 and finite"
            )

    def goodness(self, points: OperatingPoints) -> Floats:
        """Minus the cost of each cut."""
        true, false = points.true_positive, points.false_positive
        cost: Floats = self.false_positive * false + self.false_negative * (true[-1] - true)
        return -cost

    def __str__(self) -> str:
        return f"cost:{self.false_positive:g}:{self.false_negative:g}"


@final
@dataclass(frozen=True)
class Rate(Rule):
    """A share of the rows, as near as tied estimates let it be.

    Attributes:
        share: of all rows, labelled or not.

    Raises:
        UserError: a share that is not between 0 and 1.
    """

    share: float

    needs_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UserError(f"share {self.share:g}; the share of rows to flag lies between 0 and 1, as 0.1")

    def goodness(self, points: OperatingPoints) -> Floats:
        """Minus the distance of each cut's share of rows."""
        flagged = points.flagged
        distance: Floats = np.abs(flagged - self.share * flagged[-1])
        return -distance

    def __str__(self) -> str:
        return f"rate:{self.share:g}"


@final
@dataclass(frozen=True)
class At(Rule):
    """A threshold that is given.

    Attributes:
        value: the threshold.

    Raises:
        UserError: one that is no probability.
    """

    value: float

    needs_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise UserError(f"threshold {self.value:g}; one on a probability lies from 0 to 1")

    def goodness(self, points: OperatingPoints) -> Floats:
        """1 for the cut of the threshold, 0 for others."""
        chosen: Floats = (np.arange(len(points.rows) + 1) == points.cut(self.value)).astype(np.float64)
        return chosen

    def threshold(self, points: OperatingPoints) -> float:
        """The value itself."""
        return self.value

    def __str__(self) -> str:
        return f"at:{self.value!r}"


_KINDS: dict[str, tuple[Callable[..., Rule], int]] = {
    "f1": (F1, 0),
    "cost": (Cost, 2),
    "rate": (Rate, 1),
    "at": (At, 1),
}
"""What makes each rule, and how many numbers it takes."""


def parse_rule(text: str) -> Rule:
    """The rule of its text: `f1`, `cost:5:1`, `rate:0.1`, `at:0.3`.

    Raises:
        UserError: there is no such rule, or its numbers are none or out of range.
    """
    kind, *given = text.split(":")
    try:
        make, count = _KINDS[kind]
        if len(given) != count:
            raise ValueError
        numbers = [float(one) for one in given]
    except (KeyError, ValueError):
        raise UserError(f"{text!r} is no rule; it is {HELP}") from None
    return make(*numbers)
