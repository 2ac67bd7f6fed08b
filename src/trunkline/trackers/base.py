"""The base class of trackers."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

from trunkline.runs.folder import RunFolder

Outcome = Literal["finished", "interrupted", "failed"]
"""How a training ended; `interrupted` by Ctrl-C."""


class Tracker(ABC):
    """Shows a training's history elsewhere.

    Its constructor's keywords are its options in the YAML; it only keeps them, being called when a config is read.
    `check` comes before any row is read, `start` before the first step, `end` after all. `line` and `end` may raise
    what they like: whoever calls them goes on without the tracker. They run between two steps and do not wait for
    another machine.
    """

    @abstractmethod
    def check(self) -> None:
        """Find out whether this can work.

        Raises:
            UserError: a library that is not installed, a server that does not answer.
        """

    @abstractmethod
    def start(self, run: RunFolder, lines: Sequence[dict[str, Any]], *, step: int) -> None:
        """Begin, or go on where an earlier start in the same run folder stopped.

        Args:
            run: the run folder; its config is in place.
            lines: the history so far. Of later lines, which a killed training may have sent, the reader shall see only
                one version.
            step: steps done.

        Raises:
            UserError: as `check`.
        """

    @abstractmethod
    def line(self, line: dict[str, Any]) -> None:
        """Take in a line of the history, or at the end one with the scores on test rows, `test`."""

    @abstractmethod
    def end(self, run: RunFolder, outcome: Outcome) -> None:
        """Say how the training ended, and leave nothing open; the run folder holds the metrics of a finished one."""


def tell(message: str) -> None:
    """Tell the user something that stops nothing; on stderr, unless the program's logging says otherwise."""
    logging.getLogger("trunkline").warning("%s", message)
