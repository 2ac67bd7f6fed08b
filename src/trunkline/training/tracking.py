"""Tracking: the trackers of a training, none of which may end it."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, final

from trunkline.config.section import Chosen
from trunkline.errors import Problems
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import read_history
from trunkline.trackers import TRACKERS
from trunkline.trackers.base import Outcome, Tracker, tell


def check_trackers(configs: Iterable[Chosen]) -> None:
    """Find out whether trackers can work, before any row is read.

    Raises:
        UserError: a library that is not installed, a server that does not answer; all of them.
    """
    problems = Problems()
    for config in configs:
        with problems.collect():
            TRACKERS.make(config.kind, config.options).check()
    problems.raise_if_any()


@final
class Tracking:
    """Hands the history of a training to its trackers, and at the end how it went.

    A tracker that raises is left out from there on, and the user is told.

    Args:
        configs: of the trackers.
        run: the run folder.
    """

    def __init__(self, configs: Sequence[Chosen], run: RunFolder) -> None:
        self._trackers = {config.kind: TRACKERS.make(config.kind, config.options) for config in configs}
        self._run, self._step = run, 0
        self._started: dict[str, Tracker] = {}

    def start(self, step: int) -> None:
        """Begin after so many steps; the history in the run folder has no later ones.

        Raises:
            UserError: a tracker that cannot begin.
        """
        self._step = step
        lines = read_history(self._run.history)
        for kind, tracker in self._trackers.items():
            tracker.start(self._run, lines, step=step)
            self._started[kind] = tracker

    def line(self, line: dict[str, Any]) -> None:
        """Hand on a line of the history."""
        self._step = line["step"]
        self._each(lambda tracker: tracker.line(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome: Outcome = "finished" if kind is None else "failed" if issubclass(kind, Exception) else "interrupted"
        if outcome == "finished" and self._started:
            metrics = json.loads(self._run.metrics.read_text(encoding="utf-8"))
            self._each(lambda tracker: tracker.line({"step": self._step, "test": metrics.get("test")}))
        self._each(lambda tracker: tracker.end(self._run, outcome))

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for kind, tracker in list(self._started.items()):
            try:
                act(tracker)
            except Exception as error:  # of whatever kind: it is not the training's
                del self._started[kind]
                tell(f"{kind} fails: {error}; the training goes on without it")
                with suppress(Exception):
                    tracker.end(self._run, "failed")
