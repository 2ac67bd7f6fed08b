"""Where each value stands in a vocabulary."""

from typing import Protocol, final

import numpy as np
import polars as pl

SPAN = 1 << 16
"""A vocabulary of whole numbers that span no more than this, or than four times its length, is an array to index."""
_FREE, _MARK = -1, -2
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
    table = KeyTable()
    table.insert(as_keys(vocabulary))
    return TableLookup(table)


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
    """Any values, by their keys in a hash table.

    Args:
        table: holds the vocabulary's keys in its order.
    """

    def __init__(self, table: "KeyTable") -> None:
        self._table = table

    def find(self, values: pl.Series) -> np.ndarray:
        """As in `Lookup`."""
        return self._table.find(as_keys(values))


@final
class KeyTable:
    """Distinct keys of 64 bits, each with its place in the order in which they came: open addressing, linear probing."""

    def __init__(self) -> None:
        self._clear(64)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """`[N]` int32 place of each of `[N]` uint64 keys, -1 where it is not there."""
        slots = self._home(keys)
        places = self._places.take(slots)
        rows = np.flatnonzero((self._keys.take(slots) != keys) & (places >= 0))
        slots, keys = slots[rows], keys[rows]
        while len(rows):
            slots += 1
            slots &= self._last
            found = self._places.take(slots)
            places[rows] = found
            wrong = (self._keys.take(slots) != keys) & (found >= 0)
            rows, slots, keys = rows[wrong], slots[wrong], keys[wrong]
        return places

    def insert(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give `[N]` uint64 keys that are not there yet the next places, keys that are equal the same one.

        Returns:
            `[N]` int32 places, and for each new place in order the row that it was made for.
        """
        # At most half of the slots are taken; far fewer where the table stays small anyway.
        n = self.count + len(keys)
        size = 1 << max(2 * n, min(16 * n, SPAN), 16).bit_length()
        if size > len(self._keys):
            self._resize(size)
        rows, slots = np.arange(len(keys), dtype=np.int32), self._home(keys)
        owners, homes = np.empty_like(rows), np.empty_like(slots)
        while len(rows):
            # Several rows may want one free slot: the last to write its mark there has it, and shares it with those of
            # the same key; the others go on.
            free = self._places.take(slots) == _FREE
            self._places[slots[free]] = _MARK - rows[free]
            claimed = _MARK - self._places.take(slots)
            owner = np.where(claimed >= 0, claimed, rows)
            same = (claimed >= 0) & (keys.take(owner) == keys.take(rows))
            settled = rows[same]
            owners[settled], homes[settled] = owner[same], slots[same]
            rows, slots = rows[~same], (slots[~same] + 1) & self._last
        first = np.flatnonzero(owners == np.arange(len(keys)))
        places = np.empty(len(keys), dtype=np.int32)
        places[first] = np.arange(self.count, self.count + len(first))
        self._keys[homes[first]], self._places[homes[first]] = keys[first], places[first]
        self.count += len(first)
        return places[owners], first

    def _resize(self, size: int) -> None:
        taken = self._places >= 0
        keys = np.empty(self.count, dtype=np.uint64)
        keys[self._places[taken]] = self._keys[taken]
        self._clear(size)
        self.insert(keys)

    def _clear(self, size: int) -> None:
        self.count = 0
        self._shift, self._last = np.uint64(65 - size.bit_length()), size - 1
        self._keys = np.zeros(size, dtype=np.uint64)
        self._places = np.full(size, _FREE, dtype=np.int32)

    def _home(self, keys: np.ndarray) -> np.ndarray:
        home = keys >> _HALF
        home ^= keys
        home *= _GOLDEN
        home >>= self._shift
        return home.view(np.int64)


def as_keys(values: pl.Series) -> np.ndarray:
    """`[N]` uint64: the bits of a number, the hash of a text; the same for the same value of one type.

    Among n texts two share a hash, and then an id, with a probability of n²/2⁶⁵: 3e-8 for a million. The hash is polars'
    own, which may differ from version to version; it is never written down.
    """
    if values.dtype == pl.String:
        return values.hash().to_numpy()
    if values.dtype.is_float():
        return (values.fill_null(0.0).to_numpy() + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0
    return (values.fill_null(0) if values.null_count() else values).to_numpy().view(np.uint64)
