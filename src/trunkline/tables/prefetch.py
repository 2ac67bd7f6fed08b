"""Prefetching: the next items are made in a thread of their own while the last one is used."""

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from typing import TypeVar

T = TypeVar("T")
DEPTH = 3
"""Items that wait to be used."""


class _End:
    """After the last item; holds what went wrong, if something did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterable[T], *, depth: int = DEPTH) -> Iterator[T]:
    """The same items, made up to `depth` ahead by a thread that ends with this generator, however that ends.

    Raises:
        BaseException: what making an item raised, once the items before it are used.
    """
    queue: Queue[T | _End] = Queue(depth)
    stop = threading.Event()

    def make() -> None:
        end = _End()
        try:
            for item in items:
                queue.put(item)
                if stop.is_set():
                    return
        except BaseException as error:
            end = _End(error)
        queue.put(end)

    thread = threading.Thread(target=make, name="trunkline-prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        # The thread may wait for room. It looks at `stop` after every item, so emptying the queue once is enough.
        try:
            while True:
                queue.get_nowait()
        except Empty:
            pass
        thread.join()
