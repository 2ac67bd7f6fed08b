"""Training time: seconds that a training spends in its steps."""

import time
from typing import final

from trunkline.training.checkpoint import Progress


@final
class Clock:
    """Counts seconds into the progress while it runs; what is done beside the steps stops it.

    Args:
        progress: whose seconds, and rows, are meant.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began: float | None = None
        self._rows = progress.rows

    def start(self) -> None:
        """Begin to count."""
        self._began, self._rows = time.perf_counter(), self._progress.rows

    def stop(self) -> float:
        """Add what has passed since `start`; rows a second in that time, 0 where none has passed."""
        if self._began is None:
            return 0.0
        spent = time.perf_counter() - self._began
        self._progress.seconds += spent
        self._began = None
        return (self._progress.rows - self._rows) / spent if spent > 0 else 0.0
