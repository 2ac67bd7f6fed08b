"""Streaming quantiles of rows that arrive in chunks, from an even sample of bounded size."""

import math
from functools import lru_cache
from typing import final

import numpy as np
import polars as pl

MOST = 1 << 13
"""Values kept at most; from then on between half as many and that."""
QUANTILES = 129
"""Points of the grid: the 0th, 128th and 126 parts between."""
STEP = (math.sqrt(5) - 1) / 2
"""In units of half the distance between kept values: irrational, so that no period in the rows meets it."""


@final
class Sample:
    """An even sample of a stream: what is kept depends on the values and their order, not on the chunks.

    While there are few values all are kept; later those at floor(j·s), j = 0, 1, …, with s = 2ˡ·`STEP` and the least
    l that keeps no more than `MOST`. Since s doubles, each next sample is every second value of the one before. A
    whole s would see one value alone of a column that repeats with its period, such as a place on a page.
    """

    def __init__(self) -> None:
        self._kept = np.empty(0)
        self._seen, self._step = 0, 0.0

    def add(self, values: np.ndarray | pl.Series) -> None:
        """Take in `[n]` finite float64 values."""
        start = self._seen
        self._seen += len(values)
        while self._count() > MOST:
            self._kept = self._kept[::2] if self._step else self._kept[_places(2 * STEP, 0, start)]
            self._step = 2 * (self._step or STEP)
        # Nothing is copied of a chunk, and numpy is the faster to pick from it.
        chunks = [values] if isinstance(values, np.ndarray) else [c.to_numpy() for c in values.get_chunks()]
        kept = [self._kept]
        for chunk in chunks:
            end = start + len(chunk)
            kept.append(chunk[_places(self._step, start, end) - start] if self._step else chunk)
            start = end
        self._kept = np.concatenate(kept)

    def quantiles(self) -> tuple[float, ...]:
        """The grid, `QUANTILES` values of the sample in order; nothing of nothing."""
        if not len(self._kept):
            return ()
        # Values that there are, and none between two of them: a column of few values has edges at these alone.
        steps = QUANTILES - 1
        places = (np.arange(QUANTILES) * (len(self._kept) - 1) + steps // 2) // steps
        return tuple(np.sort(self._kept)[places].tolist())

    def _count(self) -> int:
        """How many of the values seen the present step keeps."""
        return math.ceil(self._seen / self._step) if self._step else self._seen


@lru_cache(maxsize=64)  # columns without gaps all ask for the same
def _places(step: float, start: int, end: int) -> np.ndarray:
    """All floor(j·step) from `start` to before `end`, in order."""
    # A power of two is exact in floating point, so the places of 2·step are every second one of step, to the bit.
    j = np.arange(math.floor(start / step), math.ceil(end / step) + 1)
    places = (j * step).astype(np.int64)
    return places[(places >= start) & (places < end)]
