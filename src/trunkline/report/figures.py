"""All figures of a page, and where they stand in it."""

from collections.abc import Sequence
from html import escape
from typing import final

from trunkline.report.figure import Figure


@final
class Figures:
    """Collects the figures of a page.

    Attributes:
        figures: in the order of their places.
    """

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    def grid(self, figures: Sequence[Figure]) -> str:
        """Places for these figures, side by side where there is room; HTML."""
        cells = []
        for figure in figures:
            cells.append(
                f'<figure><h4>{escape(figure.title)}</h4><div class="plot" data-figure="{len(self.figures)}"></div>'
                f"<figcaption>{escape(figure.note)}</figcaption></figure>"
            )
            self.figures.append(figure)
        return f'<div class="grid">{"".join(cells)}</div>' if cells else ""
