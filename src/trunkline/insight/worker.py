"""A process that does runs of a comparison, one after another, for the one that started it.

It reads a JSON object a line: first what the runs have in common, then runs. It answers with lines of its own. When
what it reads ends, it stops, in the midst of a run too, with a checkpoint: so it does not outlive who started it.
"""

import _thread
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

import torch

from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.insight.jobs import Job, run
from trunkline.insight.rows import opened


def main() -> None:
    """Work until there is no more to do.

    Raises:
        KeyboardInterrupt: there is nobody left to work for.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no answer
    common = json.loads(sys.stdin.readline())
    torch.set_num_threads(common["threads"])
    encoder = Path(common["encoder"])
    data = opened(Config.make(common["config"]), encoder, common["stores"])
    orders: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(orders, busy), daemon=True).start()
    while (order := orders.get()) is not None:
        job = Job.from_json(order)
        busy.set()
        try:
            run(job, data, encoder, lambda line: _say(answers, line=line) if "valid" in line else None)
            problem = None
        except UserError as error:
            problem = str(error)
        except Exception as error:  # the other runs go on
            traceback.print_exc()
            problem = f"{type(error).__name__}: {error}"
        busy.clear()
        _say(answers, done=True, problem=problem)


def _listen(orders: "SimpleQueue[dict[str, Any] | None]", busy: threading.Event) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    orders.put(None)
    if busy.is_set():
        _thread.interrupt_main()


def _say(answers: TextIO, **values: Any) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(130)  # the thread that listens may hold what an orderly end would wait for
