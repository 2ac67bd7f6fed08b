"""A pool: work that is done one piece after another here, or side by side in processes of their own."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar, final

from trunkline.errors import UserError

PATIENCE = 60.0
"""Seconds that processes have to finish a step and write a checkpoint when they are asked to stop."""


class Piece(Protocol):
    """A piece of work."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""

    def to_json(self) -> dict[str, Any]:
        """In plain values, for another process."""


P = TypeVar("P", bound=Piece)
News = Mapping[str, Any]
"""What is told while a piece is worked on."""


@final
@dataclass(frozen=True)
class Event(Generic[P]):
    """Something that happened to a piece of work.

    Attributes:
        job: the piece.
        line: what was told of it.
        done: whether it is finished, or given up.
        problem: why it was given up.
    """

    job: P
    line: News | None = None
    done: bool = False
    problem: str | None = None


Watcher = Callable[[Event[P]], None]


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(jobs: Sequence[P], do: Callable[[P, Callable[[News], None]], None], watch: "Watcher[P]") -> None:
    """One after another in this process; a piece that fails does not stop the others.

    Args:
        jobs: the pieces.
        do: works on one, and tells what there is to tell.
        watch: told what happens.

    Raises:
        KeyboardInterrupt: after Ctrl-C, as `do` left it.
    """
    for job in jobs:
        problem = None
        try:
            do(job, lambda line, job=job: watch(Event(job, line)))  # type: ignore[misc]
        except UserError as error:
            problem = str(error)
        except Exception as error:  # the others go on
            problem = f"{type(error).__name__}: {error}"
        watch(Event(job, done=True, problem=problem))


def run_apart(
    jobs: Sequence[P], module: str, common: Mapping[str, Any], watch: "Watcher[P]", *, processes: int
) -> None:
    """Side by side; a piece that fails, or whose process dies, does not stop the others.

    Args:
        jobs: the pieces, those that take longest first.
        module: that a process runs: it calls `worker.serve`.
        common: what all pieces have in common, in plain values.
        watch: told what happens, in this thread.
        processes: how many.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once every process has ended.
    """
    common = {**common, "threads": max(1, cores() // processes)}
    waiting, events = deque(jobs), SimpleQueue[Event[P] | None]()
    workers = [_Worker(module, common, waiting, events) for _ in range(min(processes, len(jobs)))]
    left = len(workers)
    try:
        while left:
            event = events.get()
            if event is None:
                left -= 1
            else:
                watch(event)
    finally:
        waiting.clear()
        try:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.thread.join(PATIENCE)
        finally:
            for worker in workers:
                worker.kill()


@final
class _Worker(Generic[P]):
    """A thread that hands pieces to a process, and to another one when that has died."""

    def __init__(
        self, module: str, common: Mapping[str, Any], waiting: deque[P], events: "SimpleQueue[Event[P] | None]"
    ) -> None:
        self._module, self._common, self._waiting, self._events = module, common, waiting, events
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Ask the process to leave a checkpoint and end."""
        self._stopped = True
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """End the process, if it has not ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _serve(self) -> None:
        try:
            while not self._stopped:
                try:
                    job = self._waiting.popleft()
                except IndexError:
                    break
                problem = self._do(job)
                if not self._stopped or job.done:
                    self._events.put(Event(job, done=True, problem=problem))
            self.stop()
            if self._process is not None:
                self._process.wait()
                _close(self._process)
        finally:
            self._events.put(None)

    def _do(self, job: P) -> str | None:
        """Why the piece was given up, if it was."""
        try:
            process = self._process = self._process or self._start()
            if self._stopped:  # while it was being started
                self.stop()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(job.to_json()) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if answer.get("done"):
                    return answer["problem"]  # type: ignore[no-any-return]
                self._events.put(Event(job, answer["line"]))
        except (OSError, ValueError):
            pass  # it is gone
        if self._stopped:
            return "interrupted"
        assert self._process is not None
        code, self._process = self._process.wait(), None
        if code < 0:
            return f"its process was killed by signal {-code}; if memory ran out, do fewer at once: --jobs 1"
        return f"its process ended with status {code}"

    def _start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"OMP_NUM_THREADS": str(self._common["threads"])},
            start_new_session=True,  # Ctrl-C reaches the process that started them alone
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(dict(self._common)) + "\n")
        process.stdin.flush()
        return process


def _close(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
