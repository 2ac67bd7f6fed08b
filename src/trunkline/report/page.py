"""The page: everything in one file, nothing fetched."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from trunkline.report.comparison import Compared
from trunkline.report.comparison_figures import task_comparison_figures, whole_comparison_figures
from trunkline.report.comparison_section import comparison_section, word
from trunkline.report.figures import Figures
from trunkline.report.names import anchors, told_apart
from trunkline.report.run import Run
from trunkline.report.run_section import figures_of, run_section
from trunkline.report.script import SCRIPT
from trunkline.report.style import STYLE
from trunkline.report.table import table
from trunkline.report.training_figures import training_figures
from trunkline.runs.files import write_text
from trunkline.tasks import TASK_KINDS


def write_report(shown: Sequence[Run | Compared], path: Path) -> None:
    """Write the page of these runs and comparisons, whole or not at all."""
    write_text(path, page(shown))


def page(shown: Sequence[Run | Compared]) -> str:
    """The page as HTML."""
    from plotly.offline import get_plotlyjs

    names, sheet = told_apart([one.path for one in shown]), Figures()
    title = "trunkline: " + ", ".join(names)
    sections, links = "", ""
    for one, name, anchor in zip(shown, names, anchors(names), strict=True):
        links += f'<a href="#{anchor}">{escape(name)}</a>'
        if isinstance(one, Run):
            sections += run_section(one, name, anchor, sheet)
        else:
            sections += comparison_section(one, name, anchor, sheet)
    head = f"<h1>{escape(title)}</h1>"
    if len(shown) > 1:
        head += f"<nav>{links}</nav>{_words(shown, names)}{_summary(shown, names)}"
    data = [{"traces": figure.traces, "layout": figure.layout} for figure in sheet.figures]
    # A name with a tag in it must not end the script.
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", r"<\/")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>'
        f"<body><main>{head}{sections}</main><script>{get_plotlyjs()}</script>"
        f'<script type="application/json" id="figures">{text}</script>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def figures_json(shown: Sequence[Run | Compared]) -> list[dict[str, Any]]:
    """The same figures as plain values, by run and comparison."""
    names = told_apart([one.path for one in shown])
    return [
        _run_json(one, name) if isinstance(one, Run) else _comparison_json(one, name)
        for one, name in zip(shown, names, strict=True)
    ]


def _run_json(run: Run, name: str) -> dict[str, Any]:
    return {
        "run": name,
        "metrics": run.metrics,
        "insight": None if run.insight is None else run.insight.to_json(),
        "training": [figure.to_json() for figure in training_figures(run)],
        "tasks": {task: [figure.to_json() for figure in figures_of(run, task)] for task in run.tasks},
    }


def _comparison_json(compared: Compared, name: str) -> dict[str, Any]:
    tasks = compared.comparison.metrics
    return {
        "comparison": name,
        "result": compared.comparison.to_json(),
        "tasks": {task: [figure.to_json() for figure in task_comparison_figures(compared, task)] for task in tasks},
        "whole": [figure.to_json() for figure in whole_comparison_figures(compared)],
    }


def _words(shown: Sequence[Run | Compared], names: Sequence[str]) -> str:
    """What each comparison says, before any table, where a run's tables come first."""
    if isinstance(shown[0], Compared):
        return ""
    both = zip(shown, names, strict=True)
    return "".join(f"<h4>{escape(name)}</h4>{word(one)}" for one, name in both if isinstance(one, Compared))


def _summary(shown: Sequence[Run | Compared], names: Sequence[str]) -> str:
    """Headline scores of several runs side by side."""
    runs = [(one, name) for one, name in zip(shown, names, strict=True) if isinstance(one, Run)]
    if len(runs) < 2:
        return ""
    part = "test" if all("test" in run.metrics for run, _ in runs) else "valid"
    tasks = list(dict.fromkeys(task for run, _ in runs for task in run.tasks))
    rows = []
    for run, name in runs:
        cells = []
        for task in tasks:
            config = run.config.tasks.get(task)
            values = run.metrics.get(part, {}).get(task, {})
            cells.append(values.get(TASK_KINDS[config.kind].headline) if config else None)
        rows.append([name, *cells])
    return table([f"headline scores, {part}", *tasks], rows)
