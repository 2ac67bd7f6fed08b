"""History callback: the history, line by line, and the trackers that are shown it."""

from typing import final

from trunkline.callbacks.base import Callback, Line, Training
from trunkline.runs.history import History
from trunkline.training.tracking import Tracking


@final
class HistoryLines(Callback):
    """Writes the history into the run folder, and hands it to the trackers.

    Args:
        history: the file.
        tracking: the trackers.
    """

    def __init__(self, history: History, tracking: Tracking) -> None:
        self.history, self.tracking = history, tracking

    def on_line(self, loop: Training, line: Line) -> None:
        """Write it, and hand it on."""
        self.history.write(line)
        self.tracking.line(line)

    def on_checkpoint(self, loop: Training) -> None:
        """Make sure of the lines: a checkpoint without those before it could not be gone on from."""
        self.history.sync()
