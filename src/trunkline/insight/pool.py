"""The runs of a comparison, one after another here or side by side in processes of their own."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, final

from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.insight.jobs import Job, run
from trunkline.training.data import Data
from trunkline.training.loop import Line

PATIENCE = 60.0
"""Seconds that processes have to finish a step and write a checkpoint when they are asked to stop."""


@final
@dataclass(frozen=True)
class Event:
    """Something that happened to a run.

    Attributes:
        job: the run.
        line: of its history, after an epoch.
        done: whether it is finished, or given up.
        problem: why it was given up.
    """

    job: Job
    line: Line | None = None
    done: bool = False
    problem: str | None = None


Watcher = Callable[[Event], None]


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(jobs: Sequence[Job], data: Data, encoder: Path, watch: Watcher) -> None:
    """One after another in this process; a run that fails does not stop the others.

    Raises:
        KeyboardInterrupt: after Ctrl-C, with a checkpoint of the run under way.
    """
    for job in jobs:
        problem = None
        try:
            run(job, data, encoder, lambda line, job=job: watch(Event(job, line)) if "valid" in line else None)  # type: ignore[misc]
        except UserError as error:
            problem = str(error)
        except Exception as error:  # the other runs go on
            problem = f"{type(error).__name__}: {error}"
        watch(Event(job, done=True, problem=problem))


def run_apart(
    jobs: Sequence[Job], config: Config, stores: Mapping[str, str], encoder: Path, watch: Watcher, *, processes: int
) -> None:
    """Side by side; a run that fails, or whose process dies, does not stop the others.

    Args:
        jobs: the runs, those that take longest first.
        config: says the tasks of the encoded rows.
        stores: what `shared` gave.
        encoder: the file that holds what encoded the rows.
        watch: told what happens, in this thread.
        processes: how many.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once every process has left a checkpoint and ended.
    """
    common = {
        "threads": max(1, cores() // processes),
        "encoder": str(encoder.resolve()),
        "config": config.model_dump(mode="json"),
        "stores": dict(stores),
    }
    waiting, events = deque(jobs), SimpleQueue[Event | None]()
    workers = [_Worker(common, waiting, events) for _ in range(min(processes, len(jobs)))]
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
class _Worker:
    """A thread that hands runs to a process, and to another one when that has died."""

    def __init__(self, common: dict[str, Any], waiting: deque[Job], events: "SimpleQueue[Event | None]") -> None:
        self._common, self._waiting, self._events = common, waiting, events
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

    def _do(self, job: Job) -> str | None:
        """Why the run was given up, if it was."""
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
            [sys.executable, "-m", "trunkline.insight.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"OMP_NUM_THREADS": str(self._common["threads"])},
            start_new_session=True,  # Ctrl-C reaches the process that started them alone
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self._common) + "\n")
        process.stdin.flush()
        return process


def _close(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
