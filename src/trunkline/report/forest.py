"""A forest plot: changes and their intervals, a row each."""

from collections.abc import Sequence
from statistics import median_low

from trunkline.insight.statistics.intervals import Interval
from trunkline.insight.statistics.verdict import NO_DIFFERENCE, ONE_SEED, verdict
from trunkline.report.figure import GREY, Figure, Trace, named_rows

_VERDICTS = {
    "gains": ("#059669", "triangle-up"),
    NO_DIFFERENCE: (GREY, "circle"),
    "loses": ("#dc2626", "triangle-down"),
    ONE_SEED: (GREY, "circle-open"),
}
"""Told by colour and by shape."""
_FAR = 6.0
"""Times the median reach from zero: beyond, one network would leave the others no room."""
_ROOM = 3.0
"""Times the median reach that is drawn then."""


def forest(changes: Sequence[tuple[str, Interval | None]], title: str, axis: str) -> Figure | None:
    """A row a network, a mark at its change, a line as long as its interval; None where there is no change.

    Args:
        changes: by name of the network; None for those that have none.
        title: of the figure.
        axis: its title.
    """
    known = [(label, change) for label, change in changes if change is not None]
    if not known:
        return None
    reach = [max(abs(end) for end in (one.value, one.low, one.high) if end is not None) for _, one in known]
    usual = median_low(reach)
    cut = _ROOM * usual if max(reach) > _FAR * usual > 0 else None
    rows: dict[str, list[tuple[int, str, Interval]]] = {}
    for i, (label, change) in enumerate(known):
        rows.setdefault(verdict("", change).strip(), []).append((i, label, change))
    layout = named_rows([label for label, _ in known])
    layout["xaxis"] = {"title": axis, "zeroline": False} | ({"range": [-cut, cut]} if cut else {})
    layout["shapes"] = [{"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper", "line": {"color": GREY}}]
    note = "Right of the line is better."
    if any(one.low is not None for _, one in known):
        note += " The intervals hold together with those of all other changes."
    if cut:
        note += " What lies beyond the picture is marked by an arrow at its edge; the table has its figures."
    traces = [_marks(word, rows[word], cut) for word in _VERDICTS if word in rows]
    return Figure(title=title, note=note, traces=traces, layout={**layout, "showlegend": True})


def _marks(word: str, rows: Sequence[tuple[int, str, Interval]], cut: float | None) -> Trace:
    own, symbol = _VERDICTS[word]
    values, symbols, ends = list[float](), list[str](), list[float]()
    for _, _, one in rows:
        outside = cut is not None and abs(one.value) > cut
        edge = 0.97 * (cut or 0.0) * (1 if one.value > 0 else -1)
        values.append(edge if outside else one.value)
        symbols.append(("triangle-right" if one.value > 0 else "triangle-left") if outside else symbol)
        ends.append(0.0 if outside or one.high is None else one.high - one.value)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": word,
        "x": values,
        "y": [i for i, _, _ in rows],
        "error_x": {"type": "data", "array": ends, "thickness": 2, "width": 4, "visible": any(ends)},
        "marker": {"color": own, "symbol": symbols, "size": 9},
        "customdata": [f"{label}: {_told(one)}" for _, label, one in rows],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _told(one: Interval) -> str:
    ends = "" if one.low is None or one.high is None else f" ({one.low:+.4f} … {one.high:+.4f})"
    return f"{one.value:+.4f}{ends}"
