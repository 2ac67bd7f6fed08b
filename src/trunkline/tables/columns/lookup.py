"""Vocabulary lookup: where each value stands."""

from typing import Protocol, final

import numpy as np
import polars as pl

SPAN = 1 << 16
"""A vocabulary of whole numbers that span no more than this, or than four times its length, is an array to index."""
_HALF, _GOLDEN = np.uint64(32), np.uint64(0x9E3779B97F4A7C15)


class Lookup(Protocol):
    """Finds values in a vocabulary."""

    def find(self, values: pl.Series) -> np.ndarray:
        """`[N]` int32: place in the vocabulary, -1 where it is not there. Null may give either."""


def make_lookup(vocabulary: pl.Series) -> Lookup:
    """The quickest lookup for a vocabulary of text, Int64, UInt64 or Float64 values, each there once."""
    if vocabulary.dtype.is_integer() and len(vocabulary):
        low, high = int(vocabulary.min()), int(vocabulary.max())  # type: ignore[arg-type]
        if high - low < max(SPAN, 4 * len(vocabulary)):
            return RangeLookup(vocabulary, low=low, span=high - low + 1)
    return TableLookup(vocabulary)


@final
class RangeLookup:
    """Whole numbers close together, as an array to index.

    Args:
        vocabulary: distinct integers.
        low: the smallest.
        span: how many integers lie from the smallest to the largest.
    """

    def __init__(self, vocabulary: pl.Series, *, low: int, span: int) -> None:
        self._low = np.array([low % 2**64], dtype=np.uint64)
        self._span = np.uint64(span)
        self._places = np.full(span + 1, -1, dtype=np.int32)
        self._places[(as_keys(vocabulary) - self._low).astype(np.int64)] = np.arange(len(vocabulary), dtype=np.int32)

    def find(self, values: pl.Series) -> np.ndarray:
        """As in `Lookup`."""
        # What lies below the range wraps around to far above it.
        index = np.minimum(as_keys(values) - self._low, self._span)
        return self._places.take(index.view(np.int64))


@final
class TableLookup:
    """Any values, by their keys in an open hash table with linear probing.

    The keys are laid down in the order of their slots, so each stands at its own or at the next free one.

    Args:
        vocabulary: distinct values.
    """

    def __init__(self, vocabulary: pl.Series) -> None:
        keys = as_keys(vocabulary)
        n = len(keys)
        # At most half of the slots are taken; far fewer where the table stays small anyway.
        bits = max(2 * n, min(16 * n, SPAN), 16).bit_length()
        self._shift = np.uint64(64 - bits)
        home = self._home(keys)
        order = np.argsort(home)
        slots = np.maximum.accumulate(home[order] - np.arange(n)) + np.arange(n)
        size = (1 << bits) + n + 1  # no key wraps around, and the last slot is always free
        self._keys = np.zeros(size, dtype=np.uint64)
        self._places = np.full(size, -1, dtype=np.int32)
        self._keys[slots], self._places[slots] = keys[order], order

    def find(self, values: pl.Series) -> np.ndarray:
        """As in `Lookup`."""
        keys = as_keys(values)
        slots = self._home(keys)
        places = self._places.take(slots)
        rows = np.flatnonzero((self._keys.take(slots) != keys) & (places >= 0))
        slots, keys = slots[rows], keys[rows]
        while len(rows):
            slots += 1
            found = self._places.take(slots)
            places[rows] = found
            wrong = (self._keys.take(slots) != keys) & (found >= 0)
            rows, slots, keys = rows[wrong], slots[wrong], keys[wrong]
        return places

    def _home(self, keys: np.ndarray) -> np.ndarray:
        home = keys >> _HALF
        home ^= keys
        home *= _GOLDEN
        home >>= self._shift
        return home.view(np.int64)


def as_keys(values: pl.Series) -> np.ndarray:
    """`[N]` uint64: the bits of a number, the hash of a text; the same for the same value of one type.

    Among n texts two share a hash, and then an id, with a probability of n²/2⁶⁵: 3e-8 for a million. The hash is that
    of polars, which may differ from version to version; it is never written down.
    """
    if values.dtype == pl.String:
        return values.hash().to_numpy()
    if values.dtype.is_float():
        return (values.fill_null(0.0).to_numpy() + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0
    return (values.fill_null(0) if values.null_count() else values).to_numpy().view(np.uint64)
