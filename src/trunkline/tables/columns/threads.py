"""Thread pool for column work, of as many threads as polars uses."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import polars as pl

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST = 8
"""Threads beyond this wait for the interpreter more than they work."""


def in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`work` of every item, in order, on as many threads as polars has."""
    threads = min(len(items), pl.thread_pool_size(), MOST)
    if threads < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))
