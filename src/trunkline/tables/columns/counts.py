"""How often each value of a column occurs, over rows that arrive in chunks."""

from collections.abc import Sequence
from typing import final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.lookup import KeyTable, as_keys
from trunkline.tables.columns.vocabulary import Vocabulary, as_vocabulary, vocabulary_dtype
from trunkline.tables.rows import refuse_where

CHUNK = 1 << 16
"""Values counted at a time: few enough to stay near the processor."""


@final
class Counts:
    """Values and their counts; memory grows with the distinct values only.

    Attributes:
        dtype: in which values are compared; None before the first chunk that is not all null.
    """

    def __init__(self) -> None:
        self.dtype: pl.DataType | None = None
        self._table = KeyTable()
        self._values: list[pl.Series] = []
        self._counts = np.zeros(0, dtype=np.int64)

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
        values = pl.concat(self._values) if self._values else pl.Series("value", [], dtype=dtype)
        counts = pl.Series("count", self._counts[: len(values)])
        return pl.DataFrame([as_vocabulary(values, dtype), counts]).drop_nulls()

    def _count(self, values: pl.Series) -> None:
        if values.dtype != pl.String:
            values = values.drop_nulls()  # a null text has a key of its own, and is counted as if it were a value
        keys = as_keys(values)
        places = self._table.find(keys)
        rows = np.flatnonzero(places < 0)
        if len(rows):
            places[rows], first = self._table.insert(keys[rows])
            self._values.append(values.gather(rows[first]))
        known = self._table.count
        if known > len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros(known, dtype=np.int64)])
        if known <= 4 * CHUNK:
            self._counts[:known] += np.bincount(places, minlength=known)
        else:
            distinct, counts = np.unique(places, return_counts=True)
            self._counts[distinct] += counts


def make_vocabulary(counts: Sequence[Counts], *, min_count: int) -> Vocabulary:
    """The vocabulary of several columns that share one, most frequent value first, ties by value.

    Args:
        counts: of the columns; the first that has seen a value says in which type all are compared.
        min_count: a value seen less often, over all columns, is left out.
    """
    dtype = next((one.dtype for one in counts if one.dtype is not None), pl.String())
    frames = [one.frame(dtype) for one in counts]
    merged = frames[0] if len(frames) == 1 else pl.concat(frames).group_by("value").agg(pl.col("count").sum())
    kept = merged.filter(pl.col("count") >= min_count).sort(["count", "value"], descending=[True, False])
    return Vocabulary(kept["value"])
