"""Column counts: what feature columns hold, counted as rows go by."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trunkline.nn.embedding import MISSING, UNSEEN
from trunkline.tables import Encoder
from trunkline.tables.columns import IdColumn, ListColumn, NumberColumn, NumericColumn
from trunkline.tables.encoder import Encoded

LOOKED_AT = 8192
"""Rows of a chunk whose numbers are put into bins, evenly spread: what is looked for is coarse."""
STEP = 8
"""Of a column's 128 quantiles those so far apart are edges of bins: 16 bins of about as many training rows each."""

Numbers = NDArray[np.float32]


@final
@dataclass
class ColumnCounts:
    """A column in some rows.

    Attributes:
        rows: all of them.
        missing: those without a value.
        ids: values that have an id: a row each, of lists an element each.
        unseen: those of them that training did not have, or too rarely.
        numbers: values that were put into bins.
        total: their sum, in the training rows' standard deviations from their mean.
        below: how many of them are less than the least of the training rows.
        above: how many are more than the greatest.
        bins: how many lie in each bin.
    """

    rows: int = 0
    missing: int = 0
    ids: int = 0
    unseen: int = 0
    numbers: int = 0
    total: float = 0.0
    below: int = 0
    above: int = 0
    bins: list[int] = field(default_factory=list)


@final
@dataclass(frozen=True)
class Range:
    """The numbers of a column's training rows, standardised as the network sees them.

    Attributes:
        least: of all.
        greatest: of all.
    """

    least: float
    greatest: float


def edges_of(column: NumericColumn) -> Numbers:
    """`[B - 1]` rising: where the bins of a column's standardised numbers meet."""
    (grid, *_) = column.grids
    return np.unique(np.asarray((grid or ())[STEP:-1:STEP], dtype=np.float32))


@final
class ColumnCounter:
    """Counts what feature columns hold, chunk by chunk, at the cost of a small part of their encoding.

    Args:
        encoder: of the rows.
        ranges: of numeric columns whose training rows are known; their numbers are put into bins.
        gaps: columns of numbers without an indicator in which all zeros, encoded, are no value.

    Attributes:
        counts: by column.
    """

    def __init__(self, encoder: Encoder, ranges: Mapping[str, Range], *, gaps: Collection[str] = ()) -> None:
        self._gaps = frozenset(gaps)
        self.counts = {column.name: ColumnCounts() for column in encoder.columns}
        self._columns = list(zip(encoder.columns, encoder.slices().values(), strict=True))
        self._ids = [column.name for column in encoder.columns if isinstance(column, IdColumn)]
        self._edges = {
            column.name: (edges_of(column), ranges[column.name])
            for column in encoder.columns
            if isinstance(column, NumericColumn) and column.name in ranges
        }
        for name, (edges, _) in self._edges.items():
            self.counts[name].bins = [0] * (len(edges) + 1)

    def see(self, rows: Encoded, frame: pl.DataFrame | None = None) -> None:
        """Count further rows.

        Args:
            rows: encoded.
            frame: the same ones as they were read: it shows which numbers are missing of a column that lacked none in
                training, and so has no indicator.
        """
        n = len(rows.ids)
        self._see_ids(rows.ids.numpy())
        numbers = rows.numbers.numpy()
        places = np.arange(n) if n <= LOOKED_AT else np.linspace(0, n - 1, LOOKED_AT).astype(np.int64)
        some = numbers if n <= LOOKED_AT else numbers[places]
        for column, place in self._columns:
            found = self.counts[column.name]
            found.rows += n
            if isinstance(column, ListColumn):
                values = rows.lists[place.lists.start].values.numpy()
                gaps = int((values == MISSING).sum())  # one of each list that is null, and no other list has any
                found.missing += gaps
                found.ids += len(values) - gaps
                found.unseen += int((values == UNSEEN).sum())
            elif not isinstance(column, IdColumn) and column.width:
                missing = self._missing(column, numbers[:, place.numbers], frame)
                found.missing += 0 if missing is None else int(missing.sum())
                if column.name in self._edges:
                    values = some[:, place.numbers.start]
                    self._see_numbers(column.name, values if missing is None else values[~missing[places]])

    def _missing(self, column: NumberColumn, values: Numbers, frame: pl.DataFrame | None) -> NDArray[np.bool_] | None:
        """`[N]`, true where there is no value; None where every row has one."""
        if column.has_indicator:
            return np.asarray(values[:, -1] > 0)
        if frame is not None:
            series = frame.get_column(column.name)
            series = series.fill_nan(None) if series.dtype.is_float() else series
            return series.is_null().to_numpy() if series.null_count() else None
        return np.asarray((values == 0).all(axis=1)) if column.name in self._gaps else None

    def _see_ids(self, ids: NDArray[np.int32]) -> None:
        # Few ids are missing or unseen: those are found first, all columns at once, and only they are sorted out.
        flat, width = ids.ravel(), max(ids.shape[1], 1)
        places = np.flatnonzero(flat <= UNSEEN)
        counted = np.bincount(2 * (places % width) + flat[places], minlength=2 * width).tolist()
        for i, name in enumerate(self._ids):
            found, missing, unseen = self.counts[name], counted[2 * i + MISSING], counted[2 * i + UNSEEN]
            found.missing += missing
            found.ids += len(ids) - missing
            found.unseen += unseen

    def _see_numbers(self, name: str, values: Numbers) -> None:
        found, (edges, known) = self.counts[name], self._edges[name]
        counted = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        found.bins = (np.asarray(found.bins) + counted).tolist()
        found.numbers += len(values)
        found.total += float(values.sum(dtype=np.float64))
        found.below += int((values < known.least).sum())
        found.above += int((values > known.greatest).sum())
