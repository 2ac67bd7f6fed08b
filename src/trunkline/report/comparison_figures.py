"""Figures of a comparison: changes with their intervals, what they cost, and how the trainings went."""

from collections.abc import Sequence
from statistics import fmean

from trunkline.insight.comparison.result import Comparison, NetworkResult
from trunkline.insight.statistics.intervals import Interval
from trunkline.report.comparison import Compared
from trunkline.report.figure import COLOURS, Figure, Trace, colour, line, spread
from trunkline.report.forest import forest

_WIDE = 20.0
"""Between the least and the greatest cost, from which on a logarithmic axis tells the cheap ones apart."""
_FAINT = 0.3
_BEYOND = (("solid", "circle"), ("dot", "square"), ("dashdot", "cross"))
"""Lines and marks of the first ten networks, the next ten, and so on: there are as many colours."""


def task_comparison_figures(compared: Compared, task: str) -> list[Figure]:
    """What becomes of a task in each network, and how it learned there."""
    found = compared.comparison
    metric = found.metrics[task].replace("_", " ")
    changes = [(one.label, one.tasks[task].change) for one in found.networks if task in one.tasks]
    figures = [forest(changes, "Change against the task alone", f"change in {metric}"), _epochs(compared, task)]
    return [figure for figure in figures if figure is not None]


def whole_comparison_figures(compared: Compared) -> list[Figure]:
    """All tasks together: Δm, and what it costs."""
    found = compared.comparison
    deltas = [(one.label, _percent(one.delta)) for one in found.networks]
    figures = [
        forest(deltas, "Δm: all tasks together", "mean change, % of the single-task networks"),
        _cost(found, "Cost in time", "seconds of processor time a seed", [one.cpu_seconds for one in found.networks]),
        _cost(found, "Cost in size", "parameters", [one.parameters for one in found.networks]),
    ]
    return [figure for figure in figures if figure is not None]


def _cost(comparison: Comparison, title: str, axis: str, costs: Sequence[float | None]) -> Figure | None:
    """A mark a network: what it costs, and what it gains."""
    changes = [_gain(comparison, one) for one in comparison.networks]
    places = [
        (i, one, cost, change)
        for i, (one, cost, change) in enumerate(zip(comparison.networks, costs, changes, strict=True))
        if cost is not None and change is not None
    ]
    if len(places) < 2:
        return None
    traces = [
        {
            **line(one.label, [cost], [change.value], i),
            "mode": "markers",
            "marker": {"size": 11, "symbol": _symbol(one, i), "color": colour(i)},
            "error_y": {
                "type": "data",
                "array": [0.0 if change.high is None else change.high - change.value],
                "thickness": 1,
                "width": 3,
                "color": f"{colour(i)}66",
                "visible": change.high is not None,
            },
        }
        for i, one, cost, change in places
    ]
    known = [cost for _, _, cost, _ in places]
    wide = max(known) > _WIDE * min(known) > 0
    scale = spread(known) | {"tickformat": "~s"} if wide else {"rangemode": "tozero"}
    several = len(comparison.metrics) > 1
    return Figure(
        title=title,
        note="Up and to the left is better. The single-task networks together (◆) are at 0; what has no such cost, "
        "as trees have no parameters, is left out.",
        traces=traces,
        layout={"xaxis": {"title": axis, **scale}, "yaxis": {"title": "Δm, %" if several else "change"}},
    )


def _gain(comparison: Comparison, network: NetworkResult) -> Interval | None:
    """Δm in percent; the change of the task where there is but one. The single-task networks gain nothing."""
    if network.kind == "alone":
        return Interval(0.0)
    if len(comparison.metrics) > 1:
        return _percent(network.delta)
    return next((one.change for one in network.tasks.values()), None)


def _percent(one: Interval | None) -> Interval | None:
    if one is None:
        return None
    low, high = (None if end is None else 100 * end for end in (one.low, one.high))
    return Interval(100 * one.value, low, high)


def _epochs(compared: Compared, task: str) -> Figure | None:
    """The validation score after every epoch: a line a network, a faint one a seed."""
    found, traces = compared.comparison, list[Trace]()
    curves = compared.curves[task]
    for i, network in enumerate(found.networks):
        seeds = curves.get(network.name)
        if seeds is None:
            continue
        together = [fmean(of_epoch) for of_epoch in _known(list(seeds.values()))]
        for scores in seeds.values() if len(seeds) > 1 else ():
            traces.append(_faint(network, scores, i))
        if together:
            mean = line(network.label, list(range(1, len(together) + 1)), together, i)
            dash = "dash" if network.kind == "alone" else _BEYOND[i // len(COLOURS) % 3][0]
            mode = "lines+markers" if len(together) < 3 else "lines"
            traces.append(mean | {"mode": mode, "legendgroup": network.name, "line": {**mean["line"], "dash": dash}})
    if not traces:
        return None
    most = max(len(trace["x"]) for trace in traces)
    metric = found.metrics[task].replace("_", " ")
    return Figure(
        title="Validation scores by epoch",
        note="The mean over the seeds, as far as all of them train; faint: each seed. Dashed: the task alone.",
        traces=traces,
        layout={"xaxis": {"title": "epoch", "dtick": 1 if most < 12 else None}, "yaxis": {"title": metric}},
    )


def _known(seeds: Sequence[Sequence[float | None]]) -> list[list[float]]:
    """The scores of all seeds by epoch, up to the first epoch that one of them lacks."""
    found = []
    for of_epoch in zip(*seeds, strict=False):
        known = [score for score in of_epoch if score is not None]
        if len(known) < len(seeds):
            break
        found.append(known)
    return found


def _faint(network: NetworkResult, scores: Sequence[float | None], i: int) -> Trace:
    return {
        **line(network.label, list(range(1, len(scores) + 1)), list(scores), i),
        "opacity": _FAINT,
        "showlegend": False,
        "legendgroup": network.name,
        "hoverinfo": "skip",
    }


def _symbol(network: NetworkResult, i: int) -> str:
    return "diamond" if network.kind == "alone" else _BEYOND[i // len(COLOURS) % 3][1]
