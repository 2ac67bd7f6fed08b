"""A guard around a user's callback: what it draws and what it raises must not reach the training."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from typing import Any, final

from trunkline.callbacks.base import Callback, Line, Training
from trunkline.errors import UserError
from trunkline.random_state import isolated_random
from trunkline.untrusted import refuse_half_characters

MOST_STATE = 1 << 20
"""Letters of JSON that a callback's state may have."""


def checked(callbacks: Any) -> list[Callback]:
    """Callbacks as a caller gave them.

    Raises:
        UserError: something else than a list of callbacks.
    """
    given = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for one in given:
        if not isinstance(one, Callback):
            called = isinstance(one, type) and issubclass(one, Callback)
            remedy = f"write {one.__name__}(…)" if called else "derive it from trunkline.callbacks.Callback"
            raise UserError(f"callbacks: {one!r} is no callback; {remedy}")
    return given


class CallbackError(UserError):
    """A user's callback raised; the training has ended with a sound checkpoint."""


@final
class Guarded(Callback):
    """Runs a user's callback with torch's generators put back afterwards, and names it where it raises.

    Args:
        inner: the callback.

    Attributes:
        name: of its class, with its module; under it its state is kept.
        failed: whether it has raised.
    """

    def __init__(self, inner: Callback) -> None:
        self.inner = inner
        self.name = f"{type(inner).__module__}.{type(inner).__qualname__}"
        self.failed = False
        self._state: dict[str, Any] = {}
        self._waiting: CallbackError | None = None

    def on_start(self, loop: Training) -> None:
        """Hand on."""
        with self._inside("on_start"):
            self.inner.on_start(loop)

    def on_step(self, loop: Training) -> None:
        """Hand on."""
        with self._inside("on_step"):
            self.inner.on_step(loop)

    def on_line(self, loop: Training, line: Line) -> None:
        """Hand on a copy."""
        with self._inside("on_line"):
            self.inner.on_line(loop, dict(line))

    def on_epoch(self, loop: Training, line: Line) -> None:
        """Hand on a copy."""
        with self._inside("on_epoch"):
            self.inner.on_epoch(loop, dict(line))

    def on_checkpoint(self, loop: Training) -> None:
        """Hand on; a state that could not be had is told now that the checkpoint is written."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            raise waiting
        with self._inside("on_checkpoint"):
            self.inner.on_checkpoint(loop)

    def on_end(self, loop: Training) -> None:
        """Hand on."""
        with self._inside("on_end"):
            self.inner.on_end(loop)

    def state_dict(self) -> Mapping[str, Any]:
        """Its own; the last one that could be had where it fails, which ends the training after the checkpoint."""
        if self.failed:
            return self._state
        try:
            with self._inside("state_dict"):
                state = self.inner.state_dict() or {}
                if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
                    raise TypeError(
                        f"it gave {type(state).__name__}; a state is a mapping from text to what JSON holds"
                    )
                text = json.dumps(state, allow_nan=False, ensure_ascii=False)
                if len(text) > MOST_STATE:
                    raise ValueError(f"it gave {len(text):,} letters of JSON; {MOST_STATE:,} at most")
                refuse_half_characters(text)
                self._state = json.loads(text)
        except CallbackError as error:
            self._waiting = error
        return self._state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Its own."""
        with self._inside("load_state_dict"):
            self.inner.load_state_dict(state)

    @contextmanager
    def _inside(self, hook: str) -> Iterator[None]:
        try:
            with isolated_random(None):
                yield
        except (Exception, SystemExit) as error:
            self.failed = True
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            raise CallbackError(
                f"callback {self.name} ({_package(self.inner)}) raised in {hook}: {why}; mend it or leave it out, then "
                "go on with --resume"
            ) from error


def by_name(callbacks: Sequence[Guarded]) -> dict[str, Callback]:
    """The callbacks by what their states are kept under; a second one of a class has a number."""
    found: dict[str, Callback] = {}
    for one in callbacks:
        count = sum(other.name == one.name for other in callbacks[: callbacks.index(one)])
        found[one.name if not count else f"{one.name} {count + 1}"] = one
    return found


def _package(callback: Callback) -> str:
    """The distribution that a callback's class comes from, or its module's file."""
    top = type(callback).__module__.partition(".")[0]
    found = packages_distributions().get(top)
    return f"package {found[0]}" if found else f"module {type(callback).__module__}"
