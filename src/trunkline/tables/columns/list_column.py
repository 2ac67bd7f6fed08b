"""Bag and sequence features: a list of ids a row."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.nn.embedding import MISSING
from trunkline.nn.inputs import Pool
from trunkline.tables.columns.base import DIM, Feature, faults_of_rows
from trunkline.tables.columns.buckets import Buckets
from trunkline.tables.columns.counts import Counts, make_vocabulary
from trunkline.tables.columns.id_column import CategoricalFitter, HashedFitter
from trunkline.tables.columns.lists import Elements, elements, split_cells
from trunkline.tables.columns.stable_hash import as_hashable
from trunkline.tables.columns.vocabulary import Vocabulary

BLOCK = 1 << 16
"""Elements looked up at a time."""
LENGTH = 50
"""Elements of a sequence that are kept unless told otherwise."""


@final
@dataclass(frozen=True, kw_only=True)
class ListColumn:
    """A row of an embedding table for each element; an element that stands twice counts twice.

    Attributes:
        kind: bag or sequence.
        name: of the column.
        pool: how the network makes one vector of them.
        length: how many elements from the end of a list are kept; None for all.
        dim: width of its own embedding; 0 where it has a target.
        ids: which row an element has; None where it has a target.
        target: the feature whose ids and table it shares.
        separator: between the elements where a list is written as text; `json` of JSON lists.

    Raises:
        UserError: neither ids nor a target, or both; a length below 1.
    """

    kind: str
    name: str
    pool: Pool
    length: int | None
    dim: int
    ids: Vocabulary | Buckets | None
    target: str | None
    separator: str | None = None

    text: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if (self.ids is None) != (self.target is not None):
            raise UserError("a list has ids of its own or a target, one of both")
        if self.length is not None and self.length < 1:
            raise UserError(f"length {self.length}: at least one element is kept")

    def encode(self, series: pl.Series, ids: Vocabulary | Buckets) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the table `[K]` int32, and how many each list has, `[N]` int64: one, missing, for a null list.

        Args:
            series: the column.
            ids: its own, or its target's.
        """
        found = _elements(split_cells(series, self.separator), self.kind, self.length)
        values = np.empty(len(found.values), dtype=np.int32)
        for start in range(0, len(values), BLOCK):
            ids.write_codes(found.values.slice(start, BLOCK), values[start : start + BLOCK])
        if found.missing is None:
            return values, found.lengths
        lengths = np.where(found.missing, 1, found.lengths)
        with_missing = np.empty(lengths.sum(), dtype=np.int32)
        gaps = np.zeros(len(with_missing), dtype=bool)
        gaps[(lengths.cumsum() - 1)[found.missing]] = True
        with_missing[gaps], with_missing[~gaps] = MISSING, values
        return with_missing, lengths


@final
@dataclass(frozen=True, kw_only=True)
class Bag(Feature):
    """A list of categories in no order: one vector of all its elements.

    Attributes:
        pool: how the elements become one vector, `mean` or `sum`.
        dim: width of the embedding.
        min_count: elements seen less often in the training rows count as unseen.
        rows: hash the elements over so many vectors, instead of a vocabulary.
        separator: between the elements where a list is written as text, such as `|`; `json` for JSON lists.
    """

    pool: Literal["mean", "sum"] = "mean"
    dim: int = DIM
    min_count: int = 1
    rows: int | None = None
    separator: str | None = None

    kind: ClassVar[str] = "bag"
    column: ClassVar[type[ListColumn]] = ListColumn
    length: ClassVar[int | None] = None
    target: ClassVar[str | None] = None

    def faults(self) -> Iterator[str]:
        """See `Feature`."""
        if self.separator == "":
            yield "separator ''; give what stands between the elements, or json"
        if self.pool not in ("mean", "sum"):
            yield f"pool {self.pool!r}; for a bag it is one of mean, sum"
        yield from faults_of_rows(self.rows, self.min_count)

    def fitter(self, target: CategoricalFitter | HashedFitter | None) -> "ListFitter":
        """What learns its column from training rows."""
        return ListFitter(self, target)


@final
@dataclass(frozen=True, kw_only=True)
class Sequence(Feature):
    """A list of categories in the order of time: one vector of its latest elements.

    Attributes:
        length: how many of the last elements are kept.
        pool: how they become one vector, `mean`, or `attention` that weighs them by the target.
        target: the categorical or hashed feature whose values the elements are, and whose embedding they share.
        dim: width of the embedding; 8, or the target's if there is one.
        min_count: elements seen less often count as unseen; 1, or the target's.
        rows: hash the elements over so many vectors, instead of a vocabulary.
        separator: between the elements where a list is written as text, such as `|`; `json` for JSON lists.
    """

    length: int = LENGTH
    pool: Literal["mean", "attention"] = "mean"
    target: str | None = None
    dim: int | None = None
    min_count: int | None = None
    rows: int | None = None
    separator: str | None = None

    kind: ClassVar[str] = "sequence"
    column: ClassVar[type[ListColumn]] = ListColumn

    def __post_init__(self) -> None:
        if self.target is None:
            object.__setattr__(self, "dim", DIM if self.dim is None else self.dim)
            object.__setattr__(self, "min_count", 1 if self.min_count is None else self.min_count)
        super().__post_init__()

    def faults(self) -> Iterator[str]:
        """See `Feature`."""
        if self.separator == "":
            yield "separator ''; give what stands between the elements, or json"
        if self.pool not in ("mean", "attention"):
            yield f"pool {self.pool!r}; for a sequence it is one of mean, attention"
        yield from faults_of_rows(self.rows, self.min_count)
        if self.pool == "attention" and self.target is None:
            yield "pool attention needs target, the feature it is held against"

    def fitter(self, target: CategoricalFitter | HashedFitter | None) -> "ListFitter":
        """What learns its column from training rows."""
        return ListFitter(self, target)


@final
class ListFitter:
    """The vocabulary of training rows' lists, or their part in their target's.

    Args:
        feature: whose column it is.
        target: the fitter of the target, if the feature has one.
    """

    def __init__(self, feature: Bag | Sequence, target: CategoricalFitter | HashedFitter | None) -> None:
        self._feature = feature
        self._counts: Counts | None = None
        if isinstance(target, CategoricalFitter) or (target is None and feature.rows is None):
            self._counts = Counts()
        if isinstance(target, CategoricalFitter) and self._counts is not None:
            target.counts.append(self._counts)

    def see(self, series: pl.Series) -> None:
        """Take in some rows."""
        found = _elements(split_cells(series, self._feature.separator), self._feature.kind, self._feature.length)
        if self._counts is None:
            as_hashable(found.values)
        else:
            self._counts.add(found.values)

    def done(self) -> ListColumn:
        """The column."""
        f, ids = self._feature, None
        if f.target is None:
            buckets = Buckets(f.rows, f.name) if f.rows is not None else None
            ids = buckets or make_vocabulary([self._counts or Counts()], min_count=f.min_count or 1)
        return ListColumn(
            kind=f.kind,
            name=f.name,
            pool=f.pool,
            length=f.length,
            dim=0 if f.target else f.dim or 0,
            ids=ids,
            target=f.target,
            separator=f.separator,
        )


def _elements(series: pl.Series, kind: str, last: int | None) -> Elements:
    holds = f"a {kind} column holds lists of text or whole numbers"
    found = elements(series, holds=holds, last=last)
    dtype = found.values.dtype
    if not (dtype.is_integer() or dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        raise UserError(f"column {series.name!r} is {series.dtype}; {holds}")
    return found
