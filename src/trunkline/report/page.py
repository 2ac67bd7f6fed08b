"""The page: everything in one file, nothing fetched."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from trunkline.config import Config
from trunkline.report.figures import Figure, task_figures, training_figures
from trunkline.report.graph import graph
from trunkline.report.run import Run
from trunkline.report.style import SCRIPT, STYLE
from trunkline.tasks import TASK_KINDS
from trunkline.training.files import write_text


def write_report(runs: Sequence[Run], path: Path) -> None:
    """Write the page of these runs, whole or not at all."""
    write_text(path, page(runs))


def page(runs: Sequence[Run]) -> str:
    """The page as HTML."""
    from plotly.offline import get_plotlyjs

    title = "trunkline: " + ", ".join(run.name for run in runs)
    figures: list[Figure] = []
    body = "".join(_section(run, figures) for run in runs)
    links = "".join(f'<a href="#{_anchor(run)}">{escape(run.name)}</a>' for run in runs) if len(runs) > 1 else ""
    head = f"<h1>{escape(title)}</h1><nav>{links}</nav>{_summary(runs) if len(runs) > 1 else ''}"
    data = json.dumps([{"traces": figure.traces, "layout": figure.layout} for figure in figures], allow_nan=False)
    # A name with a tag in it must not end the script.
    data = data.replace("</", r"<\/")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>'
        f"<body><main>{head}{body}</main><script>{get_plotlyjs()}</script>"
        f'<script type="application/json" id="figures">{data}</script>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def figures_json(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The same figures as plain values, by run."""
    return [
        {
            "run": run.name,
            "metrics": run.metrics,
            "training": [{"title": f.title, "traces": f.traces} for f in training_figures(run)],
            "tasks": {t: [{"title": f.title, "traces": f.traces} for f in task_figures(run, t)] for t in run.tasks},
        }
        for run in runs
    ]


def _section(run: Run, figures: list[Figure]) -> str:
    """A run's part of the page; its figures are appended."""
    parts = [f'<section id="{_anchor(run)}"><h2>{escape(run.name)}</h2>', _facts(run), _scores(run)]
    parts += ["<h3>Network</h3>", f'<div class="scroll">{graph(run)}</div>']
    parts.append('<p class="note">Dashed arrows carry an estimate whose gradient is stopped.</p>')
    parts += ["<h3>Training</h3>", _grid(training_figures(run), figures)]
    for task in run.tasks:
        drawn = task_figures(run, task)
        if drawn:
            kind = run.config.tasks[task].kind.replace("_", " ")
            parts += [f"<h3>{escape(task)} <small>{kind}, {run.part} rows</small></h3>", _grid(drawn, figures)]
    parts += ["<h3>Data</h3>", _data(run), "<h3>Config</h3>"]
    config = Config.to_yaml(run.config)
    parts.append(f"<details><summary>resolved config</summary><pre>{escape(config)}</pre></details></section>")
    return "".join(parts)


def _grid(drawn: Sequence[Figure], figures: list[Figure]) -> str:
    cells = []
    for figure in drawn:
        cells.append(
            f'<figure><h4>{escape(figure.title)}</h4><div class="plot" data-figure="{len(figures)}"></div>'
            f"<figcaption>{escape(figure.note)}</figcaption></figure>"
        )
        figures.append(figure)
    return f'<div class="grid">{"".join(cells)}</div>'


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
    for part in ("valid", "test"):
        alike: dict[tuple[str, ...], list[str]] = {}
        for name, values in run.metrics.get(part, {}).items():
            alike.setdefault(tuple(values), []).append(name)
        for columns, names in alike.items():
            rows = [[name, *(run.metrics[part][name][column] for column in columns)] for name in names]
            parts.append(_table([part, *(column.replace("_", " ") for column in columns)], rows))
    before = run.metrics.get("uncalibrated", {})
    for part, tasks in before.items():
        for name, values in tasks.items():
            parts.append(
                _table(
                    [f"{part}, before calibration", *(column.replace("_", " ") for column in values)],
                    [[name, *values.values()]],
                )
            )
    return f"<h3>Scores</h3>{''.join(parts)}" if parts else ""


def _data(run: Run) -> str:
    rows = run.curves.get("rows", {})
    parts = []
    if rows:
        header = ["label", *(f"{part}: {count:,} rows" for part, count in rows.items())]
        body = []
        for name in run.tasks:
            cells = [run.curves["labels"][part][name] for part in rows]
            leveled = TASK_KINDS[run.config.tasks[name].kind].leveled
            told = [
                f"{c['observed']:,}" + ("" if leveled or c["mean"] is None else f", mean {_number(c['mean'])}")
                for c in cells
            ]
            body.append([name, *told])
        parts.append(_table(header, body))
    features = [[column.get("name"), column.get("kind"), _size(column)] for column in run.columns]
    table = _table(["feature", "kind", "what it knows"], features)
    parts.append(f"<details><summary>{len(features)} features</summary>{table}</details>")
    return "".join(parts)


def _size(column: Mapping[str, Any]) -> str:
    values = column.get("ids", {}).get("values") if isinstance(column.get("ids"), Mapping) else None
    if isinstance(values, Sequence):
        return f"{len(values):,} values"
    if "mean" in column and isinstance(column["mean"], float):
        return f"mean {_number(column['mean'])}, sd {_number(column['std'])}"
    return ""


def _summary(runs: Sequence[Run]) -> str:
    """Headline scores of several runs side by side."""
    part = "test" if all("test" in run.metrics for run in runs) else "valid"
    names = list(dict.fromkeys(task for run in runs for task in run.tasks))
    rows = []
    for run in runs:
        cells = []
        for name in names:
            task = run.config.tasks.get(name)
            values = run.metrics.get(part, {}).get(name, {})
            cells.append(values.get(TASK_KINDS[task.kind].headline) if task else None)
        rows.append([run.name, *cells])
    return _table([f"headline scores, {part}", *names], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(str(cell))}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return escape(value) if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"


def _anchor(run: Run) -> str:
    return "run-" + "".join(letter if letter.isalnum() else "-" for letter in run.name)
