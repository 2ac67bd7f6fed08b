"""Categories: a vocabulary of the training rows."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl

from trunkline.embedding import MISSING, UNSEEN
from trunkline.tables.rows import refuse_where
from trunkline.tables.schema import Feature


@final
@dataclass(frozen=True, kw_only=True)
class CategoricalColumn:
    """A vocabulary of the training rows; row 0 stands for missing, row 1 for unseen, the rest for the values.

    Attributes:
        name: of the column.
        dim: width of the embedding.
        dtype: polars type in which values are compared; 64-bit ids stay whole.
        values: the vocabulary, most frequent first.
    """

    name: str
    dim: int
    dtype: str
    values: tuple[str | int | float, ...]

    kind: ClassVar[str] = "categorical"

    @classmethod
    def fit(cls, feature: Feature, series: pl.Series) -> Self:
        """The vocabulary of one column of training rows."""
        if series.dtype.is_float():
            rule = "categories are finite; leave the field empty where the value is missing"
            refuse_where(series, series.is_infinite().fill_null(False), rule)
        dtype = _vocabulary_dtype(series)
        known = _as_vocabulary(series, dtype).drop_nulls()
        counts = known.value_counts().filter(pl.col("count") >= feature.min_count)
        values = counts.sort(["count", known.name], descending=[True, False])[known.name].to_list()
        return cls(name=feature.name, dim=feature.dim, dtype=str(dtype), values=tuple(values))

    @property
    def rows(self) -> int:
        """Rows of the embedding table."""
        return len(self.values) + 2

    def encode(self, series: pl.Series) -> np.ndarray:
        """`[N]` int32: 0 where missing, 1 where unseen."""
        dtype = getattr(pl, self.dtype)
        values = _as_vocabulary(series, dtype)
        vocabulary = pl.Series(self.values, dtype=dtype)
        positions = pl.Series(np.arange(2, self.rows, dtype=np.int32))
        codes = values.replace_strict(vocabulary, positions, default=UNSEEN, return_dtype=pl.Int32)
        missing = series.is_null() | (series.is_nan() if series.dtype.is_float() else False)
        return codes.set(missing, MISSING).to_numpy()


def _vocabulary_dtype(series: pl.Series) -> pl.DataType:
    if series.dtype == pl.UInt64:
        return pl.UInt64()
    if series.dtype.is_integer():
        return pl.Int64()
    return pl.Float64() if series.dtype.is_float() else pl.String()


def _as_vocabulary(series: pl.Series, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    """Cast for comparison with a vocabulary; what cannot be cast is null here and unseen there."""
    if series.dtype.is_float():
        series = series.fill_nan(None)
        if dtype in (pl.Int64, pl.UInt64):
            series = series.set(series.floor() != series, None)
    elif series.dtype == pl.String and dtype in (pl.Int64, pl.UInt64):
        series = series.str.replace(r"\.0+$", "")  # a whole number that somebody's frame held as a float
    return series.cast(dtype, strict=False)
