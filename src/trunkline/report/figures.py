"""The figures of a run, as plotly draws them: plain traces and layouts."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, final

from trunkline.report.run import Run
from trunkline.tasks import TASK_KINDS

Trace = dict[str, Any]
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#65a30d", "#57534e", "#4338ca")
"""Told apart on paper too; tasks keep theirs throughout the page."""


@final
@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure and what to see in it.

    Attributes:
        title: short.
        note: how to read it.
        traces: of plotly.
        layout: of plotly, beside what all figures have.
    """

    title: str
    note: str
    traces: list[Trace]
    layout: dict[str, Any] = field(default_factory=dict)


def training_figures(run: Run) -> list[Figure]:
    """What the history tells; figures without data are left out."""
    found = [
        _lines(run, "Training losses", "losses", "Mean since the line before, in nats; a log scale.", log=True),
        _scores(run),
        _shares(run),
        _lines(
            run, "Weights of the losses", "weights", "∂objective/∂loss: what one nat of each task counts.", log=True
        ),
        _lines(
            run, "σ by task", "sigma", "Learned noise: a regression's in standardised units, of others √temperature."
        ),
        _lines(run, "Gradient norms at the fork", "gradient_norms", "Of each task's loss, unweighted.", log=True),
        _cosines(run),
        _lines(run, "Gradient weights at the fork", "fork_weights", "What the balancer gives each task's gradient."),
        _lines(run, "Learning rates by subnet", "lr", "As scheduled.", log=True, tasks=False),
        _lines(
            run,
            "Sizes of updates by subnet",
            "updates",
            "‖Δθ‖/‖θ‖ of one step, row-sparse tables left out. About 0.001 is usual; ten times more often kills ReLUs, "
            "a hundred times less learns nothing.",
            log=True,
            tasks=False,
        ),
        _entropies(run),
        _experts(run),
    ]
    return [figure for figure in found if figure is not None]


def task_figures(run: Run, task: str) -> list[Figure]:
    """What the estimates of the drawn part look like beside the labels."""
    drawn = run.curves.get(run.part or "", {}).get(task, {})
    colour, found = COLOURS[run.tasks.index(task) % len(COLOURS)], list[Figure]()
    if "roc" in drawn:
        found += [_roc(drawn, colour), _precision_recall(drawn, colour)]
    if "calibration" in drawn:
        found.append(_calibration(drawn["calibration"], colour))
    if drawn.get("lift"):
        found.append(_lift(drawn["lift"], colour))
    if "residuals" in drawn:
        found.append(_residuals(drawn["residuals"], colour))
    if "confusion" in drawn:
        found.append(_confusion(drawn["confusion"]))
    return found


def _line(name: str, x: list[Any], y: list[Any], i: int, **more: Any) -> Trace:
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": {"color": _colour(i)}, **more}


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _place(run: Run, name: str, i: int, *, tasks: bool) -> int:
    return run.tasks.index(name) if tasks and name in run.tasks else i


def _lines(run: Run, title: str, key: str, note: str, *, log: bool = False, tasks: bool = True) -> Figure | None:
    series = run.series(key)
    if not series:
        return None
    mode = {"mode": "lines+markers"} if max(len(steps) for steps, _ in series.values()) < 3 else {}
    positive = log and all(value > 0 for _, values in series.values() for value in values)
    traces = [_line(n, x, y, _place(run, n, i, tasks=tasks), **mode) for i, (n, (x, y)) in enumerate(series.items())]
    axis = {"title": "", "type": "log", "tickformat": "~g"} if positive else {"title": ""}
    return Figure(title=title, note=note, traces=traces, layout={"xaxis": {"title": "step"}, "yaxis": axis})


def _scores(run: Run) -> Figure | None:
    """Each task's headline metric on the validation rows."""
    traces = []
    for i, (name, task) in enumerate(run.config.tasks.items()):
        metric = TASK_KINDS[task.kind].headline
        points = [(line["epoch"] + 1, (line["valid"] or {}).get(name, {}).get(metric)) for line in run.epochs]
        known = [(epoch, value) for epoch, value in points if value is not None]
        if known:
            x, y = [epoch for epoch, _ in known], [value for _, value in known]
            traces.append(_line(f"{name} {metric.replace('_', ' ')}", x, y, i, mode="lines+markers"))
    if not traces:
        return None
    best = run.metrics.get("selected_epoch")
    mark = {"type": "line", "x0": best, "x1": best, "y0": 0, "y1": 1, "yref": "paper", "line": {"dash": "dot"}}
    return Figure(
        title="Validation scores",
        note="Each task's headline metric, higher is better; the dotted line is the selected epoch.",
        traces=traces,
        layout={
            "xaxis": {"title": "epoch", "dtick": 1 if len(run.epochs) < 12 else None},
            "shapes": [mark] if best else [],
        },
    )


def _shares(run: Run) -> Figure | None:
    """Of Σ |weight · loss|, each task's part."""
    steps, parts = [], dict[str, list[float]]()
    for line in run.lines:
        sizes = {n: abs(loss * line["weights"][n]) for n, loss in line["losses"].items() if loss is not None}
        total = sum(sizes.values())
        if total > 0:
            steps.append(line["step"])
            for name in run.tasks:
                parts.setdefault(name, []).append(sizes.get(name, 0.0) / total)
    if not steps:
        return None
    traces = [_line(n, steps, y, i, stackgroup="one") for i, (n, y) in enumerate(parts.items())]
    return Figure(
        title="Shares of the objective",
        note="Each task's weighted loss among all. One band that fills the picture is a task that drowns the others.",
        traces=traces,
        layout={"xaxis": {"title": "step"}, "yaxis": {"tickformat": ".0%", "range": [0, 1]}},
    )


def _cosines(run: Run) -> Figure | None:
    lines = [line for line in run.lines if line.get("cosines")]
    pairs = [(i, j) for i in range(len(run.tasks)) for j in range(i)]
    if not lines or not pairs:
        return None
    z = [[line["cosines"][i][j] for line in lines] for i, j in pairs]
    names = [f"{run.tasks[j]} · {run.tasks[i]}" for i, j in pairs]
    trace = {
        "type": "heatmap",
        "x": [line["step"] for line in lines],
        "y": names,
        "z": z,
        "zmin": -1,
        "zmax": 1,
        "colorscale": [[0, "#b91c1c"], [0.5, "#f8fafc"], [1, "#1d4ed8"]],
        "colorbar": {"title": {"text": "cosine"}, "thickness": 12},
    }
    return Figure(
        title="Cosines of the tasks' gradients",
        note="At the fork. Blue pairs pull together, red ones against each other: they conflict.",
        traces=[trace],
        layout={"xaxis": {"title": "step"}, "height": 140 + 28 * len(pairs)},
    )


def _entropies(run: Run) -> Figure | None:
    gates: dict[str, tuple[list[int], list[float]]] = {}
    for line in run.lines:
        for name, facts in (line.get("gates") or {}).items():
            steps, values = gates.setdefault(name, ([], []))
            steps.append(line["step"])
            values.append(facts["entropy"])
    if not gates:
        return None
    return Figure(
        title="Entropy of the gates",
        note="Over that of equal shares: 1 where all experts count alike, 0 where one has all.",
        traces=[_line(name, x, y, i) for i, (name, (x, y)) in enumerate(gates.items())],
        layout={"xaxis": {"title": "step"}, "yaxis": {"range": [0, 1.05]}},
    )


def _experts(run: Run) -> Figure | None:
    gates = next((line["gates"] for line in reversed(run.lines) if line.get("gates")), None)
    if not gates:
        return None
    experts = list(dict.fromkeys(expert for facts in gates.values() for expert in facts["use"]))
    z = [[facts["use"].get(expert) for expert in experts] for facts in gates.values()]
    trace = {
        "type": "heatmap",
        "x": experts,
        "y": list(gates),
        "z": z,
        "zmin": 0,
        "colorscale": [[0, "#f8fafc"], [1, "#1d4ed8"]],
        "colorbar": {"title": {"text": "share"}, "thickness": 12},
    }
    return Figure(
        title="Use of the experts",
        note="The mean share of each expert in what a gate lets through, at the last line. A pale column is not used.",
        traces=[trace],
        layout={"height": 160 + 28 * len(gates)},
    )


def _roc(drawn: dict[str, Any], colour: str) -> Figure:
    roc = drawn["roc"]
    curve = {"type": "scatter", "mode": "lines", "x": roc["false"], "y": roc["true"], "line": {"color": colour}}
    return Figure(
        title="ROC",
        note="True positives among the positives, against false ones among the negatives; dashed: chance.",
        traces=[{**curve, "name": "model"}, _dashed([0, 1], [0, 1], "chance")],
        layout=_axes("false positive rate", "true positive rate", square=True),
    )


def _precision_recall(drawn: dict[str, Any], colour: str) -> Figure:
    pr = drawn["precision_recall"]
    curve = {"type": "scatter", "mode": "lines", "x": pr["recall"], "y": pr["precision"], "line": {"color": colour}}
    return Figure(
        title="Precision and recall",
        note="Dashed: the share of positives, what chance gives.",
        traces=[{**curve, "name": "model"}, _dashed([0, 1], [pr["base"]] * 2, "chance")],
        layout=_axes("recall", "precision", square=True),
    )


def _calibration(groups: dict[str, Any], colour: str) -> Figure:
    low, high = min(groups["estimate"] + groups["label"]), max(groups["estimate"] + groups["label"])
    points = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "groups",
        "x": groups["estimate"],
        "y": groups["label"],
        "error_y": {"type": "data", "array": [1.96 * error for error in groups["error"]], "thickness": 1},
        "line": {"color": colour},
        "text": [f"{rows:,} rows" for rows in groups["rows"]],
    }
    return Figure(
        title="Calibration",
        note="Mean label beside mean estimate, in ten groups of equally many rows, with 95 % intervals; dashed: right.",
        traces=[points, _dashed([low, high], [low, high], "right")],
        layout=_axes("mean estimate", "mean label"),
    )


def _lift(lift: list[float], colour: str) -> Figure:
    bars = {"type": "bar", "name": "lift", "x": list(range(1, len(lift) + 1)), "y": lift, "marker": {"color": colour}}
    return Figure(
        title="Lift by decile",
        note="Mean label of each tenth of the rows, from the highest estimates on, over the mean of all.",
        traces=[bars],
        layout=_axes("tenth of the rows", "× the mean"),
    )


def _residuals(residuals: dict[str, Any], colour: str) -> Figure:
    edges = residuals["edges"]
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    bars = {"type": "bar", "name": "rows", "x": middles, "y": residuals["rows"], "marker": {"color": colour}}
    return Figure(
        title="Residuals",
        note="Label less estimate, in the label's unit; what lies beyond 98 % of the rows is counted at the ends.",
        traces=[bars],
        layout={**_axes("label − estimate", "rows"), "bargap": 0},
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
        layout=_axes("estimated class", "true class"),
    )


def _dashed(x: list[float], y: list[float], name: str) -> Trace:
    style = {"color": "#94a3b8", "dash": "dash", "width": 1}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "line": style, "hoverinfo": "skip"}


def _axes(x: str, y: str, *, square: bool = False) -> dict[str, Any]:
    limits = {"range": [-0.02, 1.02]} if square else {}
    return {"xaxis": {"title": x, **limits}, "yaxis": {"title": y, **limits}, "showlegend": False}
