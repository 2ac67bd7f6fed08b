"""Findings as HTML."""

from collections.abc import Sequence
from html import escape

from trunkline.insight.diagnosis.findings import OF_ROWS, Finding
from trunkline.insight.diagnosis.telling import NOT_TRIED, what_to_do
from trunkline.report.insight import Insight


def findings_list(insight: Insight | None, anchor: str) -> str:
    """The findings, the weightiest first, and what was not looked at.

    Args:
        insight: of the run; None where nobody has asked.
        anchor: of the run in the page.
    """
    if insight is None:
        return _note("Not looked for: trunkline report does, unless it is told --quick.")
    parts = []
    if insight.findings:
        items = "".join(_item(finding, f"{anchor}-finding-{i}") for i, finding in enumerate(insight.findings))
        parts.append(f'<ol class="findings">{items}</ol>')
        parts.append(_note("By weight: what the kind can spoil at worst, times how much of it there is."))
    elif insight.findings is not None:
        parts.append("<p>Nothing found.</p>")
    if insight.skipped:
        parts.append(_note(f"Not looked at: {'; '.join(insight.skipped)}."))
    parts += [_note(f"Left out: {gap}.") for gap in insight.gaps]
    if insight.looked:
        looked = "".join(f"<li>{escape(what)}</li>" for what in insight.looked)
        parts.append(f"<details><summary>{len(insight.looked)} things looked at</summary><ul>{looked}</ul></details>")
    return "".join(parts)


def findings_of_rows(findings: Sequence[Finding], anchor: str) -> str:
    """Those findings that say something of the rows, each linked to where it is told in full."""
    mine = [(i, finding) for i, finding in enumerate(findings) if finding.kind in OF_ROWS]
    items = "".join(f'<li><a href="#{anchor}-finding-{i}">{escape(finding.sentence)}</a></li>' for i, finding in mine)
    return f"<ul>{items}</ul>" if items else ""


def _item(finding: Finding, anchor: str) -> str:
    return (
        f'<li id="{anchor}"><span class="weight" title="weight">{finding.weight:.2f}</span> '
        f"<b>{escape(finding.kind.replace('_', ' '))}</b>: {escape(finding.sentence)}"
        f"{''.join(f'<br>{_line(line)}' for line in what_to_do([finding]))}</li>"
    )


def _line(text: str) -> str:
    """What to change stands out."""
    change = text.removeprefix("change: ")
    if change == text:
        return escape(text)
    line = change.removesuffix(NOT_TRIED)
    return f"change <code>{escape(line)}</code>{escape(change[len(line) :])}"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'
