"""The section of a run."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from trunkline.config import Config
from trunkline.insight.statistics.intervals import half_width
from trunkline.metrics.choice import choices
from trunkline.report.figure import Figure
from trunkline.report.figures import Figures
from trunkline.report.findings_list import findings_list, findings_of_rows
from trunkline.report.graph import graph
from trunkline.report.importance_figure import importance_figure
from trunkline.report.run import Run
from trunkline.report.table import number, table
from trunkline.report.task_figures import task_figures
from trunkline.report.training_figures import training_figures
from trunkline.tasks import TASK_KINDS


def run_section(run: Run, name: str, anchor: str, sheet: Figures) -> str:
    """A run as HTML; its figures are put on the sheet.

    Args:
        run: the run.
        name: by which it is told from the others of the page.
        anchor: likewise.
        sheet: of the page.
    """
    parts = [f'<section id="{anchor}"><h2>{escape(name)}</h2>', _facts(run)]
    parts += ["<h3>Findings</h3>", findings_list(run.insight, anchor), _scores(run), _beside_linear(run), _choice(run)]
    parts += ["<h3>Network</h3>", graph(run, anchor)]
    parts.append('<p class="note">Dashed arrows carry an estimate whose gradient is stopped.</p>')
    parts += ["<h3>Training</h3>", sheet.grid(training_figures(run))]
    for task in run.tasks:
        drawn = figures_of(run, task)
        if drawn:
            kind = run.config.tasks[task].kind.replace("_", " ")
            part = f", {run.part} rows" if run.part else ""
            parts += [f"<h3>{escape(task)} <small>{kind}{part}</small></h3>", sheet.grid(drawn)]
    parts += ["<h3>Data</h3>", _data(run, anchor), "<h3>Config</h3>"]
    config = Config.to_yaml(run.config)
    parts.append(f"<details><summary>resolved config</summary><pre>{escape(config)}</pre></details></section>")
    return "".join(parts)


def figures_of(run: Run, task: str) -> list[Figure]:
    """A task's curves, and what the features are worth to it."""
    worth = importance_figure(run, task)
    return task_figures(run, task) + ([] if worth is None else [worth])


def _facts(run: Run) -> str:
    found = run.metrics
    if not found:
        done = len(run.epochs)
        return f'<p class="note">This run has not ended: {done} epoch{"s" * (done != 1)} so far.</p>'
    speed = f", {found['rows_per_second']:,.0f} rows/s" if found.get("rows_per_second") else ""
    return (
        f"<p>Epoch {found['selected_epoch']} of {found['epochs']} selected by <code>{escape(found['select'])}</code>; "
        f"{found['parameters']:,} parameters; {found['train_seconds']:,.1f} s of training{speed}.</p>"
    )


def _scores(run: Run) -> str:
    """A table of metrics for the tasks that share theirs, of each part."""
    parts = []
    for part in ("valid", "test", "train"):
        title = "train: rows it learned from, optimistic" if part == "train" else part
        alike: dict[tuple[str, ...], list[str]] = {}
        for name, values in run.metrics.get(part, {}).items():
            alike.setdefault(tuple(values), []).append(name)
        for columns, names in alike.items():
            rows = [[name, *(run.metrics[part][name][column] for column in columns)] for name in names]
            parts.append(table([title, *(column.replace("_", " ") for column in columns)], rows))
    before = run.metrics.get("uncalibrated", {})
    for part, tasks in before.items():
        for name, values in tasks.items():
            header = [f"{part}, before calibration", *(column.replace("_", " ") for column in values)]
            parts.append(table(header, [[name, *values.values()]]))
    return f"<h3>Scores</h3>{''.join(parts)}" if parts else ""


def _beside_linear(run: Run) -> str:
    """Each task beside a linear model of the same columns; nothing where nobody has looked."""
    rows = []
    for one in run.quality.values():
        score, ahead = (None if i is None or i.se is None else i for i in (one.score, one.ahead))
        rows.append(
            [
                f"{one.task} {one.metric}",
                None if score is None else f"{score.value:.4f} ± {half_width(score):.4f}",
                one.linear,
                None if ahead is None else f"{ahead.value:+.4f} ± {half_width(ahead):.4f}",
            ]
        )
    if not rows:
        return ""
    note = "On validation rows, ± half of a 95 % interval; the linear model reads the same encoded columns."
    header = ["task", "network", "linear model", "ahead by"]
    return f'<h3>Beside a linear model</h3>{table(header, rows)}<p class="note">{escape(note)}</p>'


def _choice(run: Run) -> str:
    """The selected epoch beside each task's own best one; nothing where there was nothing to choose."""
    headlines = {name: TASK_KINDS[task.kind].headline for name, task in run.config.tasks.items()}
    found = choices(run.epochs, headlines, run.metrics.get("selected_epoch"))
    if not found or len(run.epochs) < 2:
        return ""
    selected = run.metrics["selected_epoch"]
    header = ["task", f"epoch {selected}", "own best", "its epoch", "pays"]
    rows = [
        [f"{one.task} {one.metric.replace('_', ' ')}", one.score, one.best, one.best_epoch, one.paid] for one in found
    ]
    note = (
        f"Headline metrics on the validation rows. One epoch, {selected}, serves all tasks, chosen by "
        f"{run.metrics['select']}; what a task pays for that has noise in it, as the best of several is partly luck."
    )
    return f'<h3>Choice of the epoch</h3>{table(header, rows)}<p class="note">{escape(note)}</p>'


def _data(run: Run, anchor: str) -> str:
    rows = run.curves.get("rows", {})
    parts = [findings_of_rows(run.insight.findings or [], anchor)] if run.insight else []
    if rows:
        header = ["label", *(f"{part}: {count:,} rows" for part, count in rows.items())]
        body = []
        for name in run.tasks:
            cells = [run.curves["labels"][part][name] for part in rows]
            leveled = TASK_KINDS[run.config.tasks[name].kind].leveled
            told = [
                f"{c['observed']:,}" + ("" if leveled or c["mean"] is None else f", mean {number(c['mean'])}")
                for c in cells
            ]
            body.append([name, *told])
        parts.append(table(header, body))
    features = [[column.get("name"), column.get("kind"), _size(column)] for column in run.columns]
    known = table(["feature", "kind", "what it knows"], features)
    parts.append(f"<details><summary>{len(features)} features</summary>{known}</details>")
    return "".join(parts)


def _size(column: Mapping[str, Any]) -> str:
    values = column.get("ids", {}).get("values") if isinstance(column.get("ids"), Mapping) else None
    if isinstance(values, Sequence):
        return f"{len(values):,} values"
    if "mean" in column and isinstance(column["mean"], float):
        return f"mean {number(column['mean'])}, sd {number(column['std'])}"
    return ""
