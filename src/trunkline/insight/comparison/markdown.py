"""A comparison as text and as Markdown."""

from collections.abc import Sequence

from trunkline.insight.comparison.result import Comparison, NetworkResult
from trunkline.insight.statistics.intervals import Interval
from trunkline.insight.statistics.verdict import MEAN, MEAN_OF_OTHERS

DASH = "–"


def markdown(comparison: Comparison) -> str:
    """The whole comparison: a table a task, one for all tasks together, and what may be said."""
    parts = ["# Comparison", "", comparison.sentence, "", *(f"{line}  " for line in about(comparison))]
    for task in comparison.metrics:
        parts += ["", f"## {task_title(comparison, task)}", "", *table(TASK_COLUMNS, task_rows(comparison, task))]
    parts += ["", "## All tasks", "", *table(WHOLE_COLUMNS, whole_rows(comparison))]
    parts += ["", *(f"- {line}" for line in conclusions(comparison))]
    return "\n".join(parts) + "\n"


TASK_COLUMNS = ("network", "mean", "change", "interval", "verdict")
WHOLE_COLUMNS = ("network", "Δm", "interval", "CPU s", "wall s", "parameters")


def about(comparison: Comparison) -> list[str]:
    """What was compared, and what the intervals mean."""
    rows = ", ".join(f"{count:,} {part}" for part, count in comparison.rows.items())
    seeds = f"{len(comparison.seeds)} seed{'s' if len(comparison.seeds) > 1 else ''}"
    return [
        f"{seeds}; rows: {rows}",
        f"changes against single-task networks; their {comparison.verdicts} intervals hold together with "
        f"{100 * comparison.confidence:g} % (seeds, and {comparison.resamples:,} resamples of the test rows)",
    ]


def task_title(comparison: Comparison, task: str) -> str:
    """`click: auc on 1,200 test rows`."""
    return f"{task}: {comparison.metrics[task]} on {comparison.task_rows[task]:,} test rows"


def task_rows(comparison: Comparison, task: str) -> list[list[str]]:
    """A line for each network: `TASK_COLUMNS` of one task."""
    rows = []
    for network in comparison.networks:
        found = network.tasks.get(task)
        if found is None:
            rows.append([network.label, DASH, DASH, DASH, "no run is done" if network.missing else "not defined"])
        else:
            change = found.change
            told = [DASH, DASH] if change is None else [f"{change.value:+.4f}", span(change)]
            rows.append([network.label, f"{found.mean.value:.4f}", *told, found.verdict])
    return rows


def whole_rows(comparison: Comparison) -> list[list[str]]:
    """A line for each network: `WHOLE_COLUMNS`."""
    rows = []
    for network in comparison.networks:
        delta = network.delta
        told = [DASH, DASH] if delta is None else [f"{100 * delta.value:+.2f} %", span(delta, percent=True)]
        cost = [f"{s:,.1f}" if s is not None else DASH for s in (network.cpu_seconds, network.seconds)]
        size = DASH if network.parameters is None else f"{network.parameters:,}"
        rows.append([network.label, *told, *cost, size])
    return rows


def span(interval: Interval, *, percent: bool = False) -> str:
    """`+0.0004 … +0.0032`."""
    if interval.low is None or interval.high is None:
        return DASH
    ends = [100 * end if percent else end for end in (interval.low, interval.high)]
    return " … ".join(f"{end:+.2f}" if percent else f"{end:+.4f}" for end in ends)


def conclusions(comparison: Comparison) -> list[str]:
    """A sentence for each network, which one the validation rows chose, and what is missing."""
    told = [f"{one.label}: {_said(one)}" for one in comparison.networks if one.kind != "alone"]
    alone = comparison.networks[0]
    for task, own in alone.overrides.items():
        setting = ", ".join(f"{key}={value}" for key, value in own.items())
        told.append(f"{task} alone with {setting}, as the validation rows choose")
    if comparison.chosen is not None and sum(one.kind == "network" for one in comparison.networks) > 1:
        told.append(f"the validation rows choose {comparison[comparison.chosen].label}")
    told += left_out(comparison)
    missing = {name: why for one in comparison.networks for name, why in one.missing.items()}
    return told + [f"missing: {name}: {why}" for name, why in missing.items()]


def left_out(comparison: Comparison) -> list[str]:
    """Which tasks Δm is not taken over, and why."""
    return [f"Δm leaves out {task}: {why}; see its own change" for task, why in comparison.left_out.items()]


def _said(network: NetworkResult) -> str:
    verdicts = {task: result.verdict for task, result in network.tasks.items()}
    clear = [text for task, text in verdicts.items() if text.startswith(f"{task} ")]
    others: dict[str, list[str]] = {}
    for task, text in verdicts.items():
        if text not in clear:
            others.setdefault(text, []).append(task)
    if network.verdict.startswith((MEAN, MEAN_OF_OTHERS)):
        clear.append(network.verdict)
    if not clear and len(others) == 1:
        return next(iter(others))
    said = [", ".join(clear)] if clear else []
    return "; ".join([*said, *(f"{', '.join(tasks)}: {text}" for text, tasks in others.items())]) or "no run is done"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, numbers to the right."""
    head = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    return head + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
