"""Report in a notebook: the page inside a frame of its own, and a file beside."""

import webbrowser
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import final

from trunkline.report.insight import find_insight
from trunkline.report.page import page
from trunkline.report.run import read_run
from trunkline.runs.files import write_text


@final
class InlineReport:
    """A run's page: a notebook shows it, everywhere else it says where its file is.

    Args:
        html: the page.
        path: the file that holds it.
        height: of the frame in a notebook, in pixels.
    """

    def __init__(self, html: str, path: Path, *, height: int = 720) -> None:
        self.html, self.path, self.height = html, path, height

    def save(self, path: str | Path) -> Path:
        """Write the page into another file as well.

        Raises:
            UserError: it cannot be written.
        """
        write_text(Path(path), self.html)
        return Path(path)

    def open(self) -> None:
        """Show it in the browser."""
        webbrowser.open(self.path.resolve().as_uri())

    def __repr__(self) -> str:
        return f"report: {self.path} (a page for a browser: .open() shows it, .save(PATH) writes it elsewhere)"

    def _repr_html_(self) -> str:
        # A frame with an origin of its own: the page's script and style cannot reach the notebook, nor it them.
        return (
            f'<iframe srcdoc="{escape(self.html, quote=True)}" sandbox="allow-scripts allow-downloads" '
            f'style="width: 100%; height: {self.height}px; border: 0" title="report"></iframe>'
        )


def inline_report(folder: Path, *, quick: bool = False) -> InlineReport:
    """The page of a run, written into its folder as `trunkline report` does.

    Args:
        folder: of the run.
        quick: draw what the folder holds; look for nothing in the run and its rows.

    Raises:
        UserError: the folder's files cannot be read, or it cannot be written.
    """
    run = read_run(folder)
    if not quick and run.insight is None:
        run = replace(run, insight=find_insight(folder, lambda step: None))
    path = folder / "report.html"
    html = page([run])
    write_text(path, html)
    return InlineReport(html, path)
