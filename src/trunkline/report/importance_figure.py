"""Figure of feature importance for a task."""

from trunkline.insight.statistics.intervals import Interval
from trunkline.report.figure import Figure, colour, named_rows
from trunkline.report.run import Run

MOST = 15
"""Features that are drawn."""


def importance_figure(run: Run, task: str) -> Figure | None:
    """The features by how far the task's score falls without them; None where nobody asked, or none is known."""
    found = run.insight.importance if run.insight else None
    known = list(found.tasks[task].known.items()) if found is not None and task in found.tasks else []
    if found is None or not known:
        return None
    moved = [(name, one) for name, one in known if one.value or _below(one) or _above(one)]
    metric = found.tasks[task].metric.replace("_", " ")
    drawn = (moved or known)[:MOST]
    rest = [one.value for name, one in known if name not in dict(drawn)]
    note = f"By how much {metric} falls over {found.rows:,} {found.part} rows when a feature's values are those of "
    note += f"other rows, with {100 * found.confidence:g} % intervals. What two features both tell is seen in neither."
    if rest:
        plural = "s" if len(rest) > 1 else ""
        note += f" {len(rest)} further feature{plural}: at most {max(rest):.2g}."
    bars = {
        "type": "bar",
        "orientation": "h",
        "name": "drop",
        "x": [one.value for _, one in drawn],
        "y": list(range(len(drawn))),
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [_above(one) for _, one in drawn],
            "arrayminus": [_below(one) for _, one in drawn],
            "thickness": 1,
            "color": "#94a3b8",
            "width": 3,
        },
        "marker": {"color": colour(run.tasks.index(task))},
        "customdata": [name for name, _ in drawn],
        "hovertemplate": "%{customdata}: %{x:.4f}<extra></extra>",
    }
    layout = named_rows([name for name, _ in drawn], each=24, least=0)
    return Figure(
        title="Importance of features",
        note=note,
        traces=[bars],
        layout={**layout, "xaxis": {"title": f"drop of {metric}"}, "showlegend": False},
    )


def _below(drop: Interval) -> float:
    """From the estimate to the lower end of its interval; 0 where there is none."""
    return 0.0 if drop.low is None else drop.value - drop.low


def _above(drop: Interval) -> float:
    """Likewise to the upper end."""
    return 0.0 if drop.high is None else drop.high - drop.value
