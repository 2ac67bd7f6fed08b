"""Terminal display: a progress bar, and a line an epoch."""

from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from trunkline.callbacks import Line
from trunkline.training.display.base import Display
from trunkline.training.display.text import epoch_text, losses_text, sizes_text
from trunkline.training.loop import Loop

MOST_LINES = 50
"""Epochs that are told where no terminal is; of a longer training the first, every so many, and the last."""


@final
class TerminalDisplay(Display):
    """A progress bar with rows a second, losses and their weights, and a line an epoch; lines alone in a file.

    Args:
        console: where to; stderr by default.
        closing: whether a last line says which epoch was kept.

    Attributes:
        started: whether the training has begun.
    """

    def __init__(self, console: Console | None = None, *, closing: bool = False) -> None:
        self.started = False
        self._closing = closing
        self.console = console or Console(stderr=True, soft_wrap=True)
        self.bar = Progress(
            BarColumn(bar_width=20),
            TextColumn("epoch {task.fields[epoch]} · {task.fields[speed]} · {task.fields[losses]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=self.console.quiet or not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._epochs, self._done = 0, 0
        self._best: int | None = None

    def start(self, loop: Loop) -> None:
        """Say what is about to be trained, and begin the bar."""
        self.started, self._epochs = True, loop.epochs
        self.console.print(sizes_text(loop), highlight=False)
        total, done = len(loop.train) * loop.epochs, loop.state.progress.step
        self.bar.start()
        self._task = self.bar.add_task("", total=total, completed=done, epoch=1, speed="", losses="")

    def line(self, line: Line) -> None:
        """Show a line of the history."""
        if "valid" in line:
            self._done = line["epoch"] + 1
            self._best = self._done if line["best"] else self._best
            if self._is_told(line["epoch"] + 1):
                self.console.print(epoch_text(line), highlight=False, markup=False)
        elif self._task is not None:
            speed, epoch = f"{line['rows_per_second']:,.0f} rows/s", line["epoch"] + 1
            self.bar.update(self._task, completed=line["step"], epoch=epoch, speed=speed, losses=losses_text(line))

    def close(self) -> None:
        """Take the bar away; say which epoch was kept."""
        self.bar.stop()
        if self._closing and self._best is not None:
            self.console.print(f"{self._done} of {self._epochs} epochs; epoch {self._best} kept", highlight=False)

    def _is_told(self, epoch: int) -> bool:
        every = 1 if self.console.is_terminal else -(-self._epochs // MOST_LINES) or 1
        return epoch in (1, self._epochs) or epoch % every == 0
