"""The figures that a benchmark is judged by, each beside its goal, and the line of JSON that ends its output."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """A number and its goal.

    Attributes:
        figure: what was measured.
        found: the number.
        goal: which it has to reach.
        least: whether it has to be at least so large; at most, otherwise.
    """

    figure: str
    found: float
    goal: float
    least: bool

    @property
    def held(self) -> bool:
        return self.found >= self.goal if self.least else self.found <= self.goal

    @property
    def wanted(self) -> str:
        return f"{'>=' if self.least else '<='} {self.goal:g}"


def at_least(figure: str, found: float, goal: float) -> Figure:
    return Figure(figure, float(found), float(goal), True)


def at_most(figure: str, found: float, goal: float) -> Figure:
    return Figure(figure, float(found), float(goal), False)


def finish(benchmark: str, figures: Sequence[Figure], **facts: Any) -> None:
    """Print each figure beside its goal, and as the last line one JSON object.

    Args:
        benchmark: its name.
        figures: at least one, unless whom it is compared with is not installed.
        facts: what else the object holds; `left_out` names who is not installed.
    """
    assert figures or facts.get("left_out")
    for one in figures:
        assert math.isfinite(one.found), one
        print(f"{one.figure}: {one.found:.3f}, goal {one.wanted}: {'held' if one.held else 'MISSED'}")
    told = [
        {
            "figure": one.figure,
            "found": round(one.found, 4),
            "goal": {"at_least" if one.least else "at_most": one.goal},
            "held": one.held,
        }
        for one in figures
    ]
    print(json.dumps({"benchmark": benchmark, "figures": told, **facts}))


def read(line: dict[str, Any]) -> list[Figure]:
    """The figures of an object that `finish` printed."""
    return [
        Figure(one["figure"], one["found"], next(iter(one["goal"].values())), "at_least" in one["goal"])
        for one in line["figures"]
    ]
