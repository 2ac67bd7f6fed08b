"""The result of permutation importance: found, kept in a run's folder, and drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from trunkline.insight.statistics.intervals import Interval


@final
@dataclass(frozen=True, kw_only=True)
class TaskImportance:
    """One task's.

    Attributes:
        metric: its headline metric; higher is better.
        score: the metric over the rows that have a label; None where it is not defined (no label, one class alone).
        features: by how far the score falls, the largest first; None where that is not defined.
    """

    metric: str
    score: float | None
    features: Mapping[str, Interval | None]

    @property
    def known(self) -> dict[str, Interval]:
        """The features whose drop is defined."""
        return {name: drop for name, drop in self.features.items() if drop is not None}


@final
@dataclass(frozen=True, kw_only=True)
class Importance:
    """Permutation importance of each feature for each task.

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
    tasks: Mapping[str, TaskImportance]

    def to_json(self) -> dict[str, Any]:
        """In plain values; None where something is not defined."""
        tasks = {
            name: {
                "metric": task.metric,
                "score": task.score,
                "features": {feature: _plain(drop) for feature, drop in task.features.items()},
            }
            for name, task in self.tasks.items()
        }
        return {
            "part": self.part,
            "rows": self.rows,
            "repeats": self.repeats,
            "confidence": self.confidence,
            "tasks": tasks,
        }


def _plain(drop: Interval | None) -> dict[str, float | None]:
    if drop is None:
        return {"drop": None, "low": None, "high": None}
    return {"drop": drop.value, "low": drop.low, "high": drop.high}
