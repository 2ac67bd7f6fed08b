"""Exact repeats of rows, counted over all of them."""

import math
from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
import polars as pl

from trunkline.tables.doctor.columns import known_of
from trunkline.tables.doctor.integers import is_index
from trunkline.tables.rows import ROW

MOST = 10_000_000
"""Rows that are held against one another; of more, the first ones."""

MORE = 10.0
"""Times as many pairs of equal rows as chance would make, from which they are told as copies."""


class Repeats(NamedTuple):
    """How often rows repeat.

    Attributes:
        rows: that equal an earlier one in every column but row numbers.
        of: how many were looked at.
        sizes: `[G]`, how many rows there are of each kind.
        counting: columns that count the rows, which are not compared.
        by_chance: whether as many are to be expected of columns with so few values, independent of one another.
    """

    rows: int
    of: int
    sizes: np.ndarray
    by_chance: bool
    counting: Sequence[str] = ()

    def in_both(self, valid: float, test: float) -> int:
        """Validation rows that equal a training row, about, under a random split with these shares."""
        several = self.sizes[self.sizes > 1]
        return round(float((several * valid * (1 - (valid + test) ** (several - 1))).sum()))


@final
class RowRepeats:
    """Counts exact repeats of rows that arrive in chunks."""

    def __init__(self) -> None:
        self._hashes, self._seen = list[pl.Series](), 0
        self._columns: list[str] | None = None
        self._counting: list[str] = []

    def see(self, frame: pl.DataFrame) -> None:
        """Look at some rows."""
        if self._seen >= MOST or not len(frame):
            return
        if self._columns is None:
            rows = frame[ROW] if ROW in frame.columns else pl.int_range(len(frame), eager=True)
            self._counting = [one.name for one in frame if one.name != ROW and _counts_rows(one, rows)]
            self._columns = [name for name in frame.columns if name not in (ROW, *self._counting)]
        try:
            hashes = frame.select(self._columns).hash_rows() if self._columns else pl.Series(dtype=pl.UInt64)
        except pl.exceptions.PolarsError:  # a type that nobody can compare
            self._columns, self._hashes = [], []
            return
        self._hashes.append(hashes)
        self._seen += len(hashes)

    def done(self, sample: pl.DataFrame) -> Repeats:
        """What was found.

        Args:
            sample: some of the rows, which show how often two of them have one value in each column.
        """
        if not self._hashes:
            return Repeats(0, self._seen, np.zeros(0, dtype=np.int64), by_chance=False)
        sizes = pl.concat(self._hashes).unique_counts().to_numpy().astype(np.float64)
        pairs = float((sizes * (sizes - 1)).sum()) / 2
        expected = self._seen * (self._seen - 1) / 2 * math.prod(map(_alike, sample.select(self._columns or [])))
        repeated = round(float(sizes.sum())) - len(sizes)
        return Repeats(repeated, self._seen, sizes, by_chance=pairs < MORE * expected, counting=self._counting)


def _alike(series: pl.Series) -> float:
    """How probably two rows have the same value; 1 where that cannot be told."""
    try:
        counts = series.unique_counts().to_numpy().astype(np.float64)
    except pl.exceptions.PolarsError:
        return 1.0
    n = float(counts.sum())
    return float((counts * (counts - 1)).sum()) / (n * (n - 1)) if n > 1 else 1.0


def _counts_rows(series: pl.Series, rows: pl.Series) -> bool:
    return series.dtype.is_numeric() and is_index(series, known_of(series), rows)
