"""Displays of a training under way: a bar in a terminal, a table in a notebook, a few lines elsewhere."""

from contextlib import AbstractContextManager

from rich.console import Console

from trunkline.training.display.base import Display
from trunkline.training.display.notebook import NotebookDisplay
from trunkline.training.display.silent import Silent
from trunkline.training.display.terminal import TerminalDisplay

__all__ = ["Display", "NotebookDisplay", "Silent", "TerminalDisplay", "display_for"]


def display_for(progress: bool) -> AbstractContextManager[Display]:
    """The display that suits the place in which the program runs; one that shows nothing where none is wanted."""
    if not progress:
        return Silent()
    return NotebookDisplay() if Console(stderr=True).is_jupyter else TerminalDisplay(closing=True)
