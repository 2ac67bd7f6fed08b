"""Categorical and hashed features: one id a row."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.base import DIM, Feature, faults_of_rows
from trunkline.tables.columns.buckets import Buckets
from trunkline.tables.columns.counts import Counts, make_vocabulary
from trunkline.tables.columns.stable_hash import as_hashable
from trunkline.tables.columns.vocabulary import Vocabulary


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

    text: ClassVar[bool] = True

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
@dataclass(frozen=True, kw_only=True)
class Categorical(Feature):
    """A category: a vocabulary of the training rows, a vector of its own for each value.

    Attributes:
        dim: width of the embedding.
        min_count: values seen less often in the training rows count as unseen.
    """

    dim: int = DIM
    min_count: int = 1

    kind: ClassVar[str] = "categorical"
    column: ClassVar[type[IdColumn]] = IdColumn

    def fitter(self) -> "CategoricalFitter":
        """What learns its column from training rows."""
        return CategoricalFitter(self)


@final
@dataclass(frozen=True, kw_only=True)
class Hashed(Feature):
    """Any values, hashed over so many vectors.

    Attributes:
        rows: how many vectors the values are spread over.
        dim: width of the embedding.
    """

    rows: int
    dim: int = DIM

    kind: ClassVar[str] = "hashed"
    column: ClassVar[type[IdColumn]] = IdColumn

    def faults(self) -> Iterator[str]:
        """See `Feature`."""
        return faults_of_rows(self.rows)

    def fitter(self) -> "HashedFitter":
        """What checks its column in training rows."""
        return HashedFitter(self)


@final
class CategoricalFitter:
    """The vocabulary of training rows.

    Args:
        feature: whose column it is.

    Attributes:
        counts: of this column and, behind it, of the sequences that share its vocabulary.
    """

    def __init__(self, feature: Categorical) -> None:
        self._feature, self.counts = feature, [Counts()]

    def see(self, series: pl.Series) -> None:
        """Take in some rows."""
        self.counts[0].add(series)

    def done(self) -> IdColumn:
        """The column."""
        f = self._feature
        ids = make_vocabulary(self.counts, min_count=f.min_count)
        return IdColumn(kind=f.kind, name=f.name, dim=f.dim, ids=ids)


@final
class HashedFitter:
    """Nothing to learn, but training rows must hold what a hash can take.

    Args:
        feature: whose column it is.
    """

    def __init__(self, feature: Hashed) -> None:
        self._feature = feature

    def see(self, series: pl.Series) -> None:
        """Look at some rows."""
        as_hashable(series)

    def done(self) -> IdColumn:
        """The column."""
        f = self._feature
        return IdColumn(kind=f.kind, name=f.name, dim=f.dim, ids=Buckets(f.rows, f.name))
