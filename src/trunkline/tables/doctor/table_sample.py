"""A sample of a table that arrives in chunks: evenly spread, the same each time, of bounded size."""

from typing import final

import polars as pl

from trunkline.tables.rows import ROW

MOST = 100_000
"""Rows that are looked at."""
BLOCK = 20_000
"""Rows at the start that are looked at one after another."""


@final
class TableSample:
    """Every k-th row, k a power of two that leaves from half of `most` to all of them; all rows of a short table.

    Args:
        most: rows that are kept, at most.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._parts, self._kept = most, list[pl.DataFrame](), 0
        self._step, self.rows = 1, 0
        self.block: pl.DataFrame | None = None
        """The first rows, none left out: repeats that stand together are seen there."""

    def add(self, chunk: pl.DataFrame) -> None:
        """Take in some rows."""
        if self.block is None or not len(self.block):
            self.block = chunk.head(BLOCK)
        offset = -self.rows % self._step
        part = chunk[offset :: self._step] if self._step > 1 else chunk
        self.rows += len(chunk)
        self._parts.append(part)
        self._kept += len(part)
        while self._kept > self._most:
            whole = pl.concat(self._parts, how="vertical_relaxed")[::2]
            self._step, self._parts, self._kept = 2 * self._step, [whole], len(whole)

    @property
    def frame(self) -> pl.DataFrame:
        """The rows that were kept, in their order, with their numbers."""
        whole = pl.concat(self._parts, how="vertical_relaxed") if self._parts else pl.DataFrame()
        return whole if ROW in whole.columns else whole.with_row_index(ROW, offset=1)

    @property
    def whole(self) -> bool:
        """Whether every row was kept."""
        return self._step == 1
