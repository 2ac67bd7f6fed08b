"""Orders to a worker process: one trial, if it is still wanted."""

import time
from dataclasses import asdict, dataclass
from typing import Any, final


@final
@dataclass(frozen=True)
class Order:
    """A trial to be done.

    Attributes:
        until: when no more are begun, in seconds since 1970; None for never.
        wanted: how many trials the study is to have.
    """

    until: float | None
    wanted: int

    @property
    def name(self) -> str:
        """For messages."""
        return "a trial"

    @property
    def done(self) -> bool:
        """Never: whether a trial is still wanted shows when it is begun."""
        return False

    @property
    def late(self) -> bool:
        """Whether no more trials are begun."""
        return self.until is not None and time.time() >= self.until

    def to_json(self) -> dict[str, Any]:
        """In plain values."""
        return asdict(self)
