"""A guard around a user's callback: what it draws and what it raises must not reach the training."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from typing import Any, final

from trunkline.callbacks.base import Callback, Line, Training
from trunkline.errors import UserError
from trunkline.random_state import isolated_random


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
        """Hand on."""
        with self._inside("on_checkpoint"):
            self.inner.on_checkpoint(loop)

    def on_end(self, loop: Training) -> None:
        """Hand on."""
        with self._inside("on_end"):
            self.inner.on_end(loop)

    def state_dict(self) -> Mapping[str, Any]:
        """Its own."""
        before = self.failed
        try:
            with self._inside("state_dict"):
                return self.inner.state_dict()
        except CallbackError:
            if before:  # it ends the training already, whose own state is kept all the same
                return {}
            raise

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Its own."""
        with self._inside("load_state_dict"):
            self.inner.load_state_dict(state)

    @contextmanager
    def _inside(self, hook: str) -> Iterator[None]:
        try:
            with isolated_random(None):
                yield
        except Exception as error:
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
