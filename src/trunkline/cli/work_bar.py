"""A progress bar over pieces of work, and lines beside it."""

import time
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


@final
class WorkBar:
    """How many pieces are done, what is under way, and how long it has taken; on stderr.

    Args:
        pieces: what they are called, in the plural.
        quiet: show nothing but what went wrong.

    Attributes:
        started: whether there was anything to begin.
        done: pieces that are.
        total: all of them.
    """

    def __init__(self, pieces: str, *, quiet: bool = False) -> None:
        self.started = False
        self.done, self.total, self._began = 0, 0, 0.0
        self._quiet = quiet
        self._console = Console(stderr=True, soft_wrap=True)
        self._bar = Progress(
            BarColumn(bar_width=20),
            TextColumn(f"{{task.completed}} of {{task.total}} {pieces} · {{task.fields[now]}}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, total: int, done: int, told: str, *, now: str = "") -> None:
        """Say how much there is to do, and begin the bar."""
        self.started, self.done, self.total, self._began = True, done, total, time.monotonic()
        self.say(f"{told}{f', {done} of them done already' if done else ''}")
        self._bar.start()
        self._task = self._bar.add_task("", total=total, completed=done, now=now)

    def show(self, now: str) -> None:
        """What is under way."""
        if self._task is not None:
            self._bar.update(self._task, completed=self.done, now=now)

    def say(self, text: str) -> None:
        """A line, unless quiet."""
        if not self._quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """A line in any case."""
        self._console.print(text, highlight=False, markup=False)

    @property
    def spent(self) -> str:
        """Since the start."""
        return f"{time.monotonic() - self._began:,.0f} s"
