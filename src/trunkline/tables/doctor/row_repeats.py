"""Exact repeats of rows, counted over all of them."""

from typing import NamedTuple, final

import numpy as np
import polars as pl

from trunkline.tables.doctor.columns import known_of
from trunkline.tables.doctor.integers import is_index
from trunkline.tables.rows import ROW

MOST = 10_000_000
"""Rows that are held against one another; of more, the first ones."""


class Repeats(NamedTuple):
    """How often rows repeat.

    Attributes:
        rows: that equal an earlier one in every column but row numbers.
        of: how many were looked at.
        sizes: `[G]`, how many rows there are of each kind.
    """

    rows: int
    of: int
    sizes: np.ndarray

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

    def see(self, frame: pl.DataFrame) -> None:
        """Look at some rows."""
        if self._seen >= MOST or not len(frame):
            return
        if self._columns is None:
            rows = frame[ROW] if ROW in frame.columns else pl.int_range(len(frame), eager=True)
            self._columns = [one.name for one in frame if one.name != ROW and not _counts_rows(one, rows)]
        try:
            hashes = frame.select(self._columns).hash_rows() if self._columns else pl.Series(dtype=pl.UInt64)
        except pl.exceptions.PolarsError:  # a type that nobody can compare
            self._columns, self._hashes = [], []
            return
        self._hashes.append(hashes)
        self._seen += len(hashes)

    def done(self) -> Repeats:
        """What was found."""
        if not self._hashes:
            return Repeats(0, self._seen, np.zeros(0, dtype=np.int64))
        sizes = pl.concat(self._hashes).unique_counts().to_numpy()
        return Repeats(int(sizes.sum()) - len(sizes), self._seen, sizes)


def _counts_rows(series: pl.Series, rows: pl.Series) -> bool:
    return series.dtype.is_numeric() and is_index(series, known_of(series), rows)
