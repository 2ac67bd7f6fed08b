"""Tables as HTML: as wide as they are, and scrolled where the page is narrower."""

from collections.abc import Collection, Sequence
from html import escape
from typing import Any


def table(
    header: Sequence[str], rows: Sequence[Sequence[Any]], *, tones: Sequence[str] = (), toned: Collection[str] = ()
) -> str:
    """A table.

    Args:
        header: of the columns.
        rows: of cells: text, numbers, or None for what is not known.
        tones: of the rows, `good`, `bad` or nothing; nothing by default.
        toned: columns whose cells show it.
    """
    head = "".join(f"<th>{escape(str(name))}</th>" for name in header)
    body = ""
    for i, row in enumerate(rows):
        tone = f' class="{tones[i]}"' if i < len(tones) and tones[i] else ""
        tagged = ((tone if name in toned else "", cell(value)) for name, value in zip(header, row, strict=True))
        body += "<tr>" + "".join(f"<td{own}>{shown}</td>" for own, shown in tagged) + "</tr>"
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(value: Any) -> str:
    """What stands in a cell, as HTML."""
    if value is None:
        return "–"
    return escape(value) if isinstance(value, str) else number(value)


def number(value: float) -> str:
    """With as many digits as say something."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
