"""Callbacks from plain functions."""

from collections.abc import Callable
from typing import Any, TypeVar, final

from trunkline.callbacks.base import Callback, Line, Training
from trunkline.random_state import isolated_random

T = TypeVar("T")


@final
class Functions(Callback):
    """What `on_start` and `on_line` of `fit` are; what they raise is the caller's own and passes.

    Args:
        start: called with the loop before the first step.
        line: called with every line of the history.
    """

    def __init__(self, start: Callable[[Any], None] | None, line: Callable[[Line], None] | None) -> None:
        self._start, self._line = start, line

    def on_start(self, loop: Training) -> None:
        """Call the one."""
        if self._start is not None:
            with isolated_random(None):
                self._start(loop)

    def on_line(self, loop: Training, line: Line) -> None:
        """Call the other; what it draws at random is not the training's."""
        if self._line is not None:
            with isolated_random(None):
                self._line(line)


def both(one: Callable[[T], None], other: Callable[[T], None] | None) -> Callable[[T], None]:
    """A function that calls the one, and then the other if there is one."""

    def call(what: T) -> None:
        one(what)
        if other is not None:
            other(what)

    return call
