"""A figure, as plotly draws it: plain traces and a layout."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

Trace = dict[str, Any]
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#65a30d", "#57534e", "#4338ca")
"""Told apart on paper too; tasks, or networks, keep theirs throughout the page."""
GREY = "#64748b"
"""Of what is neither; seen on white and on black."""

FACTOR = 3.0
"""Between the least and the greatest value, from which on a logarithmic axis shows more than a straight one."""
_DIGITS = ((10.0, (1, 1.5, 2, 3, 4, 5, 7)), (3000.0, (1, 2, 5)), (math.inf, (1,)))
"""Up to which factor which of the numbers in a decade are labelled."""


@final
@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure and what to see in it.

    Attributes:
        title: short.
        note: how to read it.
        traces: of plotly; names are plain text, which the page breaks into lines where there is little room.
        layout: of plotly, beside what all figures have.
    """

    title: str
    note: str
    traces: list[Trace]
    layout: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What it shows, in plain values."""
        return {"title": self.title, "traces": self.traces}


def colour(i: int) -> str:
    """Of the i-th task, subnet or network."""
    return COLOURS[i % len(COLOURS)]


def line(name: str, x: list[Any], y: list[Any], i: int) -> Trace:
    """A line in the i-th colour."""
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": {"color": colour(i)}}


def dashed(x: list[float], y: list[float], name: str) -> Trace:
    """A line to compare with."""
    style = {"color": "#94a3b8", "dash": "dash", "width": 1}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "line": style, "hoverinfo": "skip"}


def axes(x: str, y: str, *, square: bool = False) -> dict[str, Any]:
    """The layout of a figure with one curve: titles of both axes, and no legend."""
    limits = {"range": [-0.02, 1.02]} if square else {}
    return {"xaxis": {"title": x, **limits}, "yaxis": {"title": y, **limits}, "showlegend": False}


def named_rows(names: list[str], *, each: int = 30, least: int = 280) -> dict[str, Any]:
    """The layout of a figure with a name a row, the first on top.

    Args:
        names: of the rows, which lie at 0, 1, …
        each: pixels.
        least: pixels of all.
    """
    places = list(range(len(names)))
    axis = {"tickvals": places, "ticktext": names, "range": [len(names) - 0.5, -0.5], "showgrid": False}
    return {"yaxis": {**axis, "zeroline": False}, "height": max(90 + each * len(names), least)}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """An axis for these values: logarithmic where all are positive and the greatest is `FACTOR` times the least.

    Labels stand at round values, so few that they do not meet.
    """
    if not values or min(values) <= 0 or max(values) < FACTOR * min(values):
        return {}
    low, high = min(values) / 1.2, max(values) * 1.2
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = next(digits for most, digits in _DIGITS if high / low <= most)
    places = [digit * 10.0**power for power in range(first, last, 1 + (last - first) // 10) for digit in digits]
    shown = [place for place in places if low <= place <= high]
    return {"type": "log", "tickvals": shown, "tickformat": "~g"}
