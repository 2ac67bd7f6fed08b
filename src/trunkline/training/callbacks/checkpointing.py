"""Checkpointing callback."""

import math
import time
from pathlib import Path
from typing import final

from trunkline.callbacks.base import Callback, Training


@final
class Checkpointing(Callback):
    """Writes the checkpoint: after every epoch, on an interrupt, and every so often in between.

    Args:
        path: the file.
        minutes: between two checkpoints within an epoch; None for epochs' ends alone.
    """

    def __init__(self, path: Path, *, minutes: float | None) -> None:
        self.path, self.seconds = path, math.inf if minutes is None else 60 * minutes
        self._kept = time.perf_counter()

    def on_start(self, loop: Training) -> None:
        """From now on time counts."""
        self._kept = time.perf_counter()

    def on_step(self, loop: Training) -> None:
        """Ask for a checkpoint when it is time."""
        if time.perf_counter() - self._kept >= self.seconds:
            loop.want_checkpoint()

    def on_checkpoint(self, loop: Training) -> None:
        """Write it."""
        loop.state.save(self.path)
        self._kept = time.perf_counter()
