"""Value counts of a column, over rows that arrive in chunks."""

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.lookup import as_keys
from trunkline.tables.columns.vocabulary import Vocabulary, as_vocabulary, vocabulary_dtype
from trunkline.tables.rows import refuse_where

CHUNK = 1 << 18
"""Values sorted at a time; a row's place among them takes 18 bits."""
_ROW = np.uint64(CHUNK - 1)
FEW = 1 << 14
"""So many distinct values are put in order in no time."""


_NUMPY = {"Int64": np.int64, "Float64": np.float64}


class _Keys(NamedTuple):
    """Distinct keys `[n]`, their counts `[n]` and, of text, where each text stands `[n]`."""

    keys: np.ndarray
    counts: np.ndarray
    texts: np.ndarray


@final
class Counts:
    """Values and their counts; memory grows with the distinct values only.

    Values are told apart by the keys of `lookup.as_keys`, which numpy sorts faster than anything hashes them.

    Attributes:
        dtype: in which values are compared; None before the first chunk that is not all null.
    """

    def __init__(self) -> None:
        self.dtype: pl.DataType | None = None
        # Keys in ascending order, their counts, and where their texts stand.
        self._known = _Keys(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
        self._new: list[_Keys] = []
        self._texts: list[pl.Series] = []
        self._written = 0
        self._growing = False

    def add(self, series: pl.Series) -> None:
        """Count the values that are neither null nor NaN.

        Raises:
            BadValue: an infinite number.
            UserError: numbers where there was text before, or the reverse.
        """
        if series.dtype == pl.Null:
            return
        if series.dtype.is_float():
            rule = "categories are finite; leave the field empty where the value is missing"
            refuse_where(series, series.is_infinite().fill_null(False), rule)
        dtype = vocabulary_dtype(series)
        if self.dtype not in (None, dtype):
            raise UserError(
                f"column {series.name!r} is {self.dtype} in some rows and {dtype} in later ones; give it one type"
            )
        self.dtype = dtype
        for start in range(0, len(series), CHUNK):
            self._count(as_vocabulary(series.slice(start, CHUNK), dtype).alias("value"))

    def frame(self, dtype: pl.DataType) -> pl.DataFrame:
        """Columns `value`, in that type, and `count`; what it cannot hold is left out."""
        self._merge()
        counts = self._known.counts
        if self.dtype == pl.String:
            # The text of a key that was new in several chunks stands there several times; all but one count nothing.
            counts = np.zeros(self._written, dtype=np.int64)
            counts[self._known.texts] = self._known.counts
            values = pl.concat(self._texts) if self._texts else pl.Series([], dtype=pl.String)
        else:
            values = pl.Series(self._known.keys.view(_NUMPY.get(str(self.dtype), np.uint64)))
        counted = pl.DataFrame({"value": as_vocabulary(values, dtype), "count": counts})
        return counted.filter(pl.col("value").is_not_null() & (pl.col("count") > 0))

    def _count(self, values: pl.Series) -> None:
        text = values.dtype == pl.String
        # Null text has a key of its own, and is counted as if it were a value.
        keys = as_keys(values if text else values.drop_nulls())
        rows, texts = None, np.empty(0, dtype=np.int64)
        if not (text and self._growing):
            distinct, counts = _count_keys(keys)
            place, here = self._find(distinct)
        if text and (self._growing or not here.all()):
            # To know a row of each key costs more, and is for nothing once all keys are known.
            distinct, counts, rows = _count_with_rows(keys)
            place, here = self._find(distinct)
        self._growing = int((~here).sum()) > FEW // 16
        if rows is not None:
            # Adding nothing makes a copy: text that is only picked out would keep all of its chunk in memory.
            found = values.gather(rows[~here]) + ""
            self._texts.append(found)
            texts = np.arange(self._written, self._written + len(found))
            self._written += len(found)
        np.add.at(self._known.counts, place[here], counts[here])
        if not here.all():
            self._new.append(_Keys(distinct[~here], counts[~here], texts))
            # Waiting until there is something to gain keeps the work in proportion to the rows.
            waiting = sum(len(new.keys) for new in self._new)
            if len(self._known.keys) < FEW or 4 * waiting > len(self._known.keys):
                self._merge()

    def _find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where keys stand among the known ones, and whether they do."""
        place = np.searchsorted(self._known.keys, keys)
        here = place < len(self._known.keys)
        here[here] = self._known.keys[place[here]] == keys[here]
        return place, here

    def _merge(self) -> None:
        if not self._new:
            return
        keys, counts, texts = (np.concatenate(parts) for parts in zip(self._known, *self._new, strict=True))
        order = np.argsort(keys)
        keys = keys[order]
        starts = _starts(keys)
        first = order[starts]
        self._known = _Keys(keys[starts], np.add.reduceat(counts[order], starts), texts[first] if len(texts) else texts)
        self._new = []


def make_vocabulary(counts: Sequence[Counts], *, min_count: int) -> Vocabulary:
    """The vocabulary of several columns that share one, most frequent value first, ties by value.

    Args:
        counts: of the columns; the first that has seen a value says in which type all are compared.
        min_count: a value seen less often, over all columns, is left out.
    """
    dtype = next((one.dtype for one in counts if one.dtype is not None), pl.String())
    frames = [one.frame(dtype) for one in counts]
    merged = frames[0] if len(frames) == 1 else pl.concat(frames).group_by("value").agg(pl.col("count").sum())
    kept = merged if min_count == 1 else merged.filter(pl.col("count") >= min_count)
    return Vocabulary(_most_frequent_first(kept))


def _most_frequent_first(counted: pl.DataFrame) -> pl.Series:
    """Column `value` by falling `count`, then by value."""
    if len(counted) < FEW:
        return counted.sort(["count", "value"], descending=[True, False])["value"]
    # Many values are equally rare. To sort those by themselves takes a fraction of sorting them beside their counts.
    counts, sizes = np.unique(counted["count"].to_numpy(), return_counts=True)
    common = counts[sizes > FEW // 16]
    rest = counted.filter(~pl.col("count").is_in(common.tolist())).sort(["count", "value"], descending=[True, False])
    falling = -rest["count"].to_numpy()
    parts, start = [], 0
    for count in common[::-1]:
        end = int(np.searchsorted(falling, -count))
        parts += [rest["value"][start:end], counted.filter(pl.col("count") == count)["value"].sort()]
        start = end
    return pl.concat([*parts, rest["value"][start:]])


def _count_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys and their counts."""
    low = keys.min(initial=2**64 - 1)
    apart = keys - low
    if int(apart.max(initial=0)) < len(keys):
        counts = np.bincount(apart.view(np.int64))
        distinct = np.flatnonzero(counts)
        return distinct.view(np.uint64) + low, counts[distinct]
    keys = np.sort(keys)
    starts = _starts(keys)
    return keys[starts], np.diff(starts, append=len(keys))


def _count_with_rows(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys, their counts and a row of each; a key may come several times."""
    # The row rides in the lowest bits of what is sorted. Keys that are alike in all the others are told apart
    # afterwards; where they alternate, one has several runs.
    rows = (np.sort((keys & ~_ROW) | np.arange(len(keys), dtype=np.uint64)) & _ROW).view(np.int64)
    keys = keys[rows]
    starts = _starts(keys)
    return keys[starts], np.diff(starts, append=len(keys)), rows[starts]


def _starts(ordered: np.ndarray) -> np.ndarray:
    """Where each run of equal keys begins."""
    return np.flatnonzero(np.concatenate([np.ones(min(len(ordered), 1), dtype=bool), ordered[1:] != ordered[:-1]]))
