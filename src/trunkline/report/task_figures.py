"""Figures of a task: its estimates beside its labels."""

from itertools import pairwise
from typing import Any

from trunkline.report.figure import Figure, axes, colour, dashed
from trunkline.report.run import Run


def task_figures(run: Run, task: str) -> list[Figure]:
    """What the estimates of the drawn part look like beside the labels."""
    drawn = run.curves.get(run.part or "", {}).get(task, {})
    own, found = colour(run.tasks.index(task)), list[Figure]()
    if "roc" in drawn:
        found += [_roc(drawn, own), _precision_recall(drawn, own)]
    if "calibration" in drawn:
        found.append(_calibration(drawn["calibration"], own))
    if drawn.get("lift"):
        found.append(_lift(drawn["lift"], own))
    if "residuals" in drawn:
        found.append(_residuals(drawn["residuals"], own))
    if "confusion" in drawn:
        found.append(_confusion(drawn["confusion"]))
    return found


def _roc(drawn: dict[str, Any], own: str) -> Figure:
    roc = drawn["roc"]
    curve = {"type": "scatter", "mode": "lines", "x": roc["false"], "y": roc["true"], "line": {"color": own}}
    return Figure(
        title="ROC",
        note="True positives among the positives, against false ones among the negatives; dashed: chance.",
        traces=[{**curve, "name": "model"}, dashed([0, 1], [0, 1], "chance")],
        layout=axes("false positive rate", "true positive rate", square=True),
    )


def _precision_recall(drawn: dict[str, Any], own: str) -> Figure:
    pr = drawn["precision_recall"]
    curve = {"type": "scatter", "mode": "lines", "x": pr["recall"], "y": pr["precision"], "line": {"color": own}}
    return Figure(
        title="Precision and recall",
        note="Dashed: the share of positives, what chance gives.",
        traces=[{**curve, "name": "model"}, dashed([0, 1], [pr["base"]] * 2, "chance")],
        layout=axes("recall", "precision", square=True),
    )


def _calibration(groups: dict[str, Any], own: str) -> Figure:
    low, high = min(groups["estimate"] + groups["label"]), max(groups["estimate"] + groups["label"])
    points = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "groups",
        "x": groups["estimate"],
        "y": groups["label"],
        "error_y": {"type": "data", "array": [1.96 * error for error in groups["error"]], "thickness": 1},
        "line": {"color": own},
        "text": [f"{rows:,} rows" for rows in groups["rows"]],
    }
    return Figure(
        title="Calibration",
        note="Mean label beside mean estimate, in ten groups of equally many rows, with 95 % intervals; dashed: right.",
        traces=[points, dashed([low, high], [low, high], "right")],
        layout=axes("mean estimate", "mean label"),
    )


def _lift(lift: list[float], own: str) -> Figure:
    bars = {"type": "bar", "name": "lift", "x": list(range(1, len(lift) + 1)), "y": lift, "marker": {"color": own}}
    return Figure(
        title="Lift by decile",
        note="Mean label of each tenth of the rows, from the highest estimates on, over the mean of all.",
        traces=[bars],
        layout=axes("tenth of the rows", "× the mean"),
    )


def _residuals(residuals: dict[str, Any], own: str) -> Figure:
    edges = residuals["edges"]
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    bars = {"type": "bar", "name": "rows", "x": middles, "y": residuals["rows"], "marker": {"color": own}}
    return Figure(
        title="Residuals",
        note="Label less estimate, in the label's unit; what lies beyond 98 % of the rows is counted at the ends.",
        traces=[bars],
        layout={**axes("label − estimate", "rows"), "bargap": 0},
    )


def _confusion(counts: list[list[int]]) -> Figure:
    shares = [[cell / (sum(row) or 1) for cell in row] for row in counts]
    trace = {
        "type": "heatmap",
        "z": shares,
        "customdata": counts,
        "hovertemplate": "true %{y}, estimated %{x}: %{customdata} rows<extra></extra>",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "#f8fafc"], [1, "#1d4ed8"]],
    }
    return Figure(
        title="Confusion",
        note="Of the rows of each true class, the share estimated as each class; by the classes' places.",
        traces=[trace],
        layout=axes("estimated class", "true class"),
    )
