"""Scalars by name, from a line of the history."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

SINGLE = ("objective", "sum", "rows_per_second", "score")
GROUPS = ("losses", "weights", "sigma", "fork_weights", "gradient_norms", "lr", "updates")


def scalars(line: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a line: `losses/<task>`, `cosines/<task>/<task>`, `valid/<task>/<metric>`, ….

    What a line holds twice (a matrix and its mirror) or what does not change (how many rows were scored) is left out.
    Tasks' and subnets' names have no `/`, so no two names are alike.
    """
    return {name: float(value) for name, value in _all(line) if value is not None and math.isfinite(value)}


def _all(line: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for name in SINGLE:
        yield name, line.get(name)
    for group in GROUPS:
        for owner, value in line.get(group, {}).items():
            yield f"{group}/{owner}", value
    yield from _cosines(list(line.get("losses", {})), line.get("cosines", []))
    # A line of losses and one of scores may share their step, and both look at gates: of a training batch, and of a
    # validation batch.
    gates = "gates" if "losses" in line else "epoch_gates"
    for gate, facts in line.get("gates", {}).items():
        yield f"{gates}/{gate}", facts["entropy"]
    for part in ("valid", "test"):
        for task, metrics in (line.get(part) or {}).items():
            for metric, value in metrics.items():
                if metric != "rows":
                    yield f"{part}/{task}/{metric}", value


def _cosines(tasks: Sequence[str], matrix: Sequence[Sequence[float | None]]) -> Iterator[tuple[str, float | None]]:
    if matrix:
        for (i, one), (j, other) in combinations(enumerate(tasks), 2):
            yield f"cosines/{one}/{other}", matrix[i][j]
