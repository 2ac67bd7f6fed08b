"""The section of a comparison."""

from dataclasses import replace
from html import escape

from trunkline.insight.comparison.markdown import (
    TASK_COLUMNS,
    WHOLE_COLUMNS,
    about,
    conclusions,
    task_rows,
    task_title,
    whole_rows,
)
from trunkline.insight.comparison.result import Comparison
from trunkline.insight.statistics.verdict import verdict
from trunkline.report.comparison import Compared
from trunkline.report.comparison_figures import task_comparison_figures, whole_comparison_figures
from trunkline.report.figures import Figures
from trunkline.report.table import table

_TONES = {"gains": "good", "loses": "bad"}
_CHOICES = (
    "Epochs, rates of the single-task networks, numbers of trees and the network to take were chosen on the validation "
    "rows alone; each run scored the test rows once, and nothing was chosen by them."
)


def comparison_section(compared: Compared, name: str, anchor: str, sheet: Figures) -> str:
    """A comparison as HTML, what may be said first; its figures are put on the sheet.

    Args:
        compared: the comparison.
        name: by which it is told from the others of the page.
        anchor: likewise.
        sheet: of the page.
    """
    found = compared.comparison
    missing = {run: why for network in found.networks for run, why in network.missing.items()}
    said = conclusions(replace(found, networks=[replace(network, missing={}) for network in found.networks]))
    lines = "".join(f"<li>{escape(line)}</li>" for line in said)
    parts = [f'<section id="{anchor}"><h2>{escape(name)}</h2>{word(compared)}<ul>{lines}</ul>']
    if missing:
        items = "".join(f"<li><b>{escape(run)}</b>: {escape(why)}</li>" for run, why in missing.items())
        parts.append(f'<h3>Runs that are missing</h3><ul class="missing">{items}</ul>')
    parts.append(_note(f"{'; '.join(about(found))}. {_CHOICES}"))
    for task in found.metrics:
        title, _, rest = task_title(found, task).rpartition(": ")
        changes = [one.tasks[task].change if task in one.tasks else None for one in found.networks]
        tones = [_TONES.get(verdict("", change).strip(), "") for change in changes]
        parts.append(f"<h3>{escape(title)} <small>{escape(rest)}</small></h3>")
        parts.append(table(TASK_COLUMNS, task_rows(found, task), tones=tones, toned=("change", "verdict")))
        parts.append(sheet.grid(task_comparison_figures(compared, task)))
    tones = [_TONES.get(verdict("", one.delta).strip(), "") for one in found.networks]
    parts += [
        f"<h3>{'All tasks' if len(found.metrics) > 1 else 'Cost'}</h3>",
        table(WHOLE_COLUMNS, whole_rows(found), tones=tones, toned=("Δm",)),
    ]
    parts.append(sheet.grid(whole_comparison_figures(compared)))
    return "".join([*parts, _gaps(compared.comparison, compared), "</section>"])


def word(compared: Compared) -> str:
    """The comparison's one sentence."""
    return f'<p class="verdict">{escape(compared.comparison.sentence)}</p>'


def _gaps(found: Comparison, compared: Compared) -> str:
    """What is not drawn, and why."""
    if any(compared.curves.values()):
        return ""
    return _note("No run's history lies beside this file, so that no validation scores are drawn by epoch.")


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'
