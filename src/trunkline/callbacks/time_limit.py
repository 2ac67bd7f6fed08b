"""Time limit: ends a training by the clock."""

import math
import time
from collections.abc import Mapping
from typing import Any, final

from trunkline.callbacks.base import Callback, Line, Training
from trunkline.errors import UserError


@final
class TimeLimit(Callback):
    """Ends the training after the epoch in which the time is over; the best epoch until then is kept.

    Time of earlier starts of the run counts, time between them does not.

    Args:
        minutes: how many, above 0.

    Raises:
        UserError: minutes that are not above 0 and finite.
    """

    def __init__(self, minutes: float) -> None:
        if not 0 < minutes < math.inf:
            raise UserError(f"time_limit's minutes must be above 0 and finite, not {minutes}")
        self.minutes = minutes
        self._before, self._began = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Spent so far."""
        return self._before + time.perf_counter() - self._began

    def on_start(self, loop: Training) -> None:
        """From now on time counts."""
        self._began = time.perf_counter()

    def on_epoch(self, loop: Training, line: Line) -> None:
        """End here, if it is time."""
        if self.seconds >= 60 * self.minutes:
            loop.stop()

    def state_dict(self) -> Mapping[str, Any]:
        """Seconds spent so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Seconds spent by earlier starts."""
        seconds: Any = state.get("seconds")
        if type(seconds) not in (int, float) or not 0 <= seconds < math.inf:
            raise ValueError(f"seconds {seconds!r}: it must be a number, 0 or above")
        self._before = float(seconds)
