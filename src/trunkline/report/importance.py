"""What a run's features are worth, as it is kept in its folder and drawn."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, kw_only=True)
class Drop:
    """By how much a score falls without a feature.

    Attributes:
        drop: the estimate; None where it is not defined.
        low: lower end of its interval, likewise.
        high: upper end, likewise.
    """

    drop: float | None
    low: float | None
    high: float | None


@final
@dataclass(frozen=True)
class KnownDrop:
    """A drop that is defined, as a figure draws it.

    Attributes:
        drop: the estimate.
        below: from there to the lower end of its interval; 0 where there is none.
        above: likewise to the upper end.
    """

    drop: float
    below: float
    above: float


@final
@dataclass(frozen=True, kw_only=True)
class TaskImportance:
    """One task's.

    Attributes:
        metric: that falls.
        score: with all features; None where it is not defined.
        features: the largest drop first.
    """

    metric: str
    score: float | None
    features: dict[str, Drop]

    @property
    def known(self) -> list[tuple[str, KnownDrop]]:
        """The features whose drop is defined."""
        return [
            (name, KnownDrop(one.drop, one.drop - _or(one.low, one.drop), _or(one.high, one.drop) - one.drop))
            for name, one in self.features.items()
            if one.drop is not None
        ]


@final
@dataclass(frozen=True, kw_only=True)
class Importance:
    """Permutation importance, as `trunkline.insight.importance.permutation_importance` gives it.

    Attributes:
        part: whose rows were asked.
        rows: how many.
        repeats: permutations of each feature.
        confidence: of the intervals.
        tasks: by name.
    """

    part: str
    rows: int
    repeats: int
    confidence: float
    tasks: dict[str, TaskImportance]


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
