"""The one sentence that a comparison comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trunkline.insight.statistics.intervals import Interval
from trunkline.insight.statistics.verdict import NO_DIFFERENCE, verdict

if TYPE_CHECKING:
    from trunkline.insight.comparison.result import NetworkResult

_MOST = 3
"""Tasks that are named with their figures; of more, those that changed most."""


def sentence(
    network: NetworkResult | None,
    metrics: Mapping[str, str],
    *,
    seeds: int,
    confidence: float,
    of_several: bool,
) -> str:
    """`The shared network beats one network a task on click (+0.0120 auc, 95 % +0.0080 to +0.0160) …`.

    Args:
        network: that it is about; None where no network shares anything.
        metrics: by task, what it is judged by.
        seeds: how many.
        confidence: with which the intervals hold together.
        of_several: whether the validation rows have chosen the network among several.
    """
    if network is None or not any(one.change is not None for one in network.tasks.values()):
        return "Nothing can be said: runs are missing on one side or both."
    name = "The shared network" if network.label == "config" else f"The shared network with {network.label}"
    known_as = f"{name}, the choice of the validation rows," if of_several else name
    changes = {task: one.change for task, one in network.tasks.items() if one.change is not None}
    groups: dict[str, dict[str, Interval]] = {}
    for task, change in changes.items():
        groups.setdefault(verdict("", change).strip(), {})[task] = change

    def told(tasks: Mapping[str, Interval]) -> str:
        most = sorted(tasks, key=lambda task: -abs(tasks[task].value))[:_MOST]
        figures = _listed([_figure(task, tasks[task], metrics[task], confidence) for task in tasks if task in most])
        return figures if len(tasks) <= _MOST else f"{len(tasks)} of {len(changes)} tasks, most on {figures}"

    parts = []
    if gains := groups.get("gains"):
        parts.append(f"beats one network a task on {told(gains)}")
    if losses := groups.get("loses"):
        parts.append(f"{'loses' if gains else 'loses to one network a task'} on {told(losses)}")
    level = list(groups.get(NO_DIFFERENCE, {}))
    unknown = [task for task in metrics if task not in changes]
    rest = f"; {_listed(unknown)} cannot be compared" if unknown else ""
    if parts:
        known = f"; no difference seen on {_some(level)}" if level else ""
        return f"{known_as} {' and '.join(parts)}{known}{rest}."
    if level:
        return (
            f"{name} and one network a task cannot be told apart on {_some(level)} "
            f"({100 * confidence:g} %, {seeds} seed{'s' * (seeds != 1)}){rest}."
        )
    few = f"{seeds} seed{'s' * (seeds != 1)}"
    return f"{few} cannot tell whether {name[0].lower()}{name[1:]} or one network a task is better; take more{rest}."


def _figure(task: str, change: Interval, metric: str, confidence: float) -> str:
    return (
        f"{task} ({change.value:+.4f} {metric.replace('_', ' ')}, {100 * confidence:g} % "
        f"{change.low:+.4f} to {change.high:+.4f})"
    )


def _some(tasks: Sequence[str]) -> str:
    return _listed(tasks) if len(tasks) <= _MOST else f"{len(tasks)} tasks"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
