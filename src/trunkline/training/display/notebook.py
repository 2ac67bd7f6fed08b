"""Notebook display: a bar and a table of epochs below the cell, drawn in place."""

import time
from html import escape
from importlib import import_module
from typing import Any, final

from trunkline.callbacks import Line
from trunkline.training.display.base import Display
from trunkline.training.display.text import losses_text, number, sizes_text
from trunkline.training.loop import Loop

MOST_EPOCHS = 20
"""Rows of the table: the last ones."""
SECONDS = 0.25
"""Between two drawings."""


@final
class NotebookDisplay(Display):
    """Needs nothing but IPython, whose display every front end updates in place; `ipywidgets` is not asked for."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._sizes, self._now = "", ""
        self._epochs: list[Line] = []
        self._done, self._total, self._of = 0, 1, 0
        self._drawn = self._began = 0.0
        self._ended = False

    def start(self, loop: Loop) -> None:
        """Draw what is about to be trained."""
        self._sizes, self._of = sizes_text(loop), loop.epochs
        self._done, self._total = loop.state.progress.step, len(loop.train) * loop.epochs
        self._began = time.monotonic()
        self._handle = import_module("IPython.display").display(self, display_id=True)

    def line(self, line: Line) -> None:
        """Draw a line of the history, a few times a second at most."""
        self._done = line["step"]
        if "valid" in line:
            self._epochs.append(line)
        else:
            speed = f"{line['rows_per_second']:,.0f} rows/s"
            self._now = f"epoch {line['epoch'] + 1} of {self._of} · {speed} · {losses_text(line)}"
        if time.monotonic() - self._drawn >= SECONDS:
            self._draw()

    def close(self) -> None:
        """Draw how it ended."""
        self._ended = True
        self._draw()

    def _draw(self) -> None:
        if self._handle is not None:
            self._drawn = time.monotonic()
            self._handle.update(self)

    def __repr__(self) -> str:
        return f"{self._sizes}; {self._status()}"

    def _status(self) -> str:
        if not self._ended:
            return self._now
        best = [line["epoch"] + 1 for line in self._epochs if line["best"]]
        kept = f", epoch {best[-1]} kept" if best else ""
        done = self._epochs[-1]["epoch"] + 1 if self._epochs else 0
        return f"{done} of {self._of} epochs{kept}; {time.monotonic() - self._began:,.1f} s"

    def _repr_html_(self) -> str:
        bar = "" if self._ended else f'<progress value="{self._done}" max="{self._total}"></progress> '
        return f"<div>{escape(self._sizes)}</div><div>{bar}{escape(self._status())}</div>{self._table()}"

    def _table(self) -> str:
        if not self._epochs:
            return ""
        tasks = {name: next(iter(scores)) for name, scores in (self._epochs[0]["valid"] or {}).items()}
        head = ["epoch", *(f"{name} {metric.replace('_', ' ')}" for name, metric in tasks.items()), "score"]
        head = head if tasks else ["epoch"]
        body = ""
        for line in self._epochs[-MOST_EPOCHS:]:
            cells = [f"{line['epoch'] + 1}{' ★' if line['best'] and tasks else ''}"]
            if tasks:
                cells += [*(number(line["valid"][name][metric]) for name, metric in tasks.items())]
                cells.append(number(line["score"]))
            body += "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        titles = "".join(f"<th>{escape(name)}</th>" for name in head)
        return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
