"""A worker process: it does pieces of work, one after another, for the one that started it.

It reads a JSON object a line: first what the pieces have in common, then pieces. It answers with lines of its own. When
what it reads ends, it stops, in the midst of a piece too: so it does not outlive who started it.
"""

import _thread
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, TextIO

import torch

from trunkline.errors import UserError

Tell = Callable[[Mapping[str, Any]], None]
Work = Callable[[dict[str, Any], Tell], None]


def serve(begin: Callable[[dict[str, Any]], Work]) -> None:
    """Work until there is no more to do; then, or when nobody is left to work for, the process may end.

    Args:
        begin: from what the pieces have in common to a function that works on one, and tells what there is to tell.
    """
    try:
        _serve(begin)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(130)  # the thread that listens may hold what an orderly end would wait for


def _serve(begin: Callable[[dict[str, Any]], Work]) -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no answer
    common = json.loads(sys.stdin.readline())
    torch.set_num_threads(common["threads"])
    do = begin(common)
    orders: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    busy, ended = threading.Event(), threading.Event()
    threading.Thread(target=_listen, args=(orders, busy, ended), daemon=True).start()
    while (order := orders.get()) is not None:
        busy.set()
        if ended.is_set():  # before the piece was begun: nobody is left to interrupt it
            break
        try:
            do(order, lambda line: _say(answers, line=dict(line)))
            problem = None
        except UserError as error:
            problem = str(error)
        except Exception as error:  # the others go on
            traceback.print_exc()
            problem = f"{type(error).__name__}: {error}"
        busy.clear()
        _say(answers, done=True, problem=problem)


def _listen(orders: "SimpleQueue[dict[str, Any] | None]", busy: threading.Event, ended: threading.Event) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    ended.set()
    orders.put(None)
    if busy.is_set():
        _interrupt()


def _interrupt() -> None:
    """Ctrl-C for the main thread, whatever it waits for."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _say(answers: TextIO, **values: Any) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()
