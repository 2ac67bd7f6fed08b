"""One id a row: a category of the training rows, or a hashed value."""

from dataclasses import dataclass
from typing import final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.buckets import Buckets
from trunkline.tables.columns.counts import Counts, make_vocabulary
from trunkline.tables.columns.stable_hash import as_hashable
from trunkline.tables.columns.vocabulary import Vocabulary
from trunkline.tables.schema import Feature


@final
@dataclass(frozen=True, kw_only=True)
class IdColumn:
    """A row of an embedding table for each value.

    Attributes:
        kind: categorical or hashed.
        name: of the column.
        dim: width of the embedding.
        ids: which row a value has.

    Raises:
        UserError: a vocabulary for a hashed column, or buckets for a categorical one.
    """

    kind: str
    name: str
    dim: int
    ids: Vocabulary | Buckets

    def __post_init__(self) -> None:
        if isinstance(self.ids, Buckets) != (self.kind == "hashed"):
            raise UserError(f"a {self.kind} column has no ids of the sort {type(self.ids).__name__}")

    @property
    def rows(self) -> int:
        """Rows of the embedding table."""
        return self.ids.rows

    def encode(self, series: pl.Series, out: np.ndarray) -> None:
        """Write the rows over `out` `[N]` int32."""
        self.ids.write_codes(series, out)


@final
class CategoricalFitter:
    """The vocabulary of training rows.

    Args:
        feature: whose column it is.

    Attributes:
        counts: of this column and, behind it, of the sequences that share its vocabulary.
    """

    def __init__(self, feature: Feature) -> None:
        self._feature, self.counts = feature, [Counts()]

    def see(self, series: pl.Series) -> None:
        """Take in some rows."""
        self.counts[0].add(series)

    def done(self) -> IdColumn:
        """The column."""
        f = self._feature
        ids = make_vocabulary(self.counts, min_count=f.min_count or 1)
        return IdColumn(kind="categorical", name=f.name, dim=f.dim or 0, ids=ids)


@final
class HashedFitter:
    """Nothing to learn, but training rows must hold what a hash can take.

    Args:
        feature: whose column it is.
    """

    def __init__(self, feature: Feature) -> None:
        self._feature = feature

    def see(self, series: pl.Series) -> None:
        """Look at some rows."""
        as_hashable(series)

    def done(self) -> IdColumn:
        """The column."""
        f = self._feature
        return IdColumn(kind="hashed", name=f.name, dim=f.dim or 0, ids=Buckets(f.rows or 0, f.name))
