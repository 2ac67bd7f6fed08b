"""A background sender for a server that may be slow or away."""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import final

Job = Callable[[], None]

PAUSE, LONGEST = 0.2, 30.0
"""Seconds before a failed job is tried again: at first, doubling, and at most."""
GRACE = 2.0
"""Seconds for which a failed job is tried again once the training is over."""
WAIT = 30.0
"""Seconds that the end of a training waits at most for jobs that do not fail."""


@final
class Sender:
    """Does one job after another on a thread of its own; one that fails is tried again, and the others wait.

    Args:
        lasting: whether an error would come again with every try; its job is then left out.
        tell: called with the first error that is lasting or comes twice running, and with none after it.
    """

    def __init__(self, *, lasting: Callable[[Exception], bool], tell: Callable[[Exception], None]) -> None:
        self._lasting, self._tell, self._told = lasting, tell, False
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._closing, self._closed = threading.Event(), float("inf")
        self._stopped = False
        # A thread that waits for a server that is away must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="trunkline-sender", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Add a job; it is done some time later."""
        self._jobs.put(job)

    def close(self) -> None:
        """Wait for the jobs, for a while; those that are not done by then never are."""
        self._closed = time.monotonic()
        self._closing.set()
        self._jobs.put(None)
        self._thread.join(WAIT)
        self._stopped = True
        if self._thread.is_alive():
            self._tell_once(TimeoutError(f"not all was sent within {WAIT:.0f} s"))

    def _work(self) -> None:
        while not self._stopped and (job := self._jobs.get()) is not None:
            if not self._do(job):
                return

    def _do(self, job: Job) -> bool:
        """Do a job until it is done or left out; false where it is given up, and with it all others."""
        pause, tries = PAUSE, 0
        while not self._stopped:
            try:
                job()
                return True
            except Exception as error:
                tries += 1
                # One failure alone is a connection that the server closed in between.
                if self._lasting(error) or tries > 1:
                    self._tell_once(error)
                if self._lasting(error):
                    return True
            if time.monotonic() - self._closed > GRACE:
                return False
            if self._closing.wait(pause):  # the end of the training is waiting
                time.sleep(PAUSE)
            pause = min(2 * pause, LONGEST)
        return False

    def _tell_once(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            self._tell(error)
