"""Classes of a multiclass label."""

from collections.abc import Sequence
from typing import final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.rows import refuse_where

Value = str | int | float | bool


@final
class Classes:
    """The classes and each one's place among them.

    Args:
        values: those that are known already.

    Attributes:
        values: the classes in the order of their places.
    """

    def __init__(self, values: Sequence[Value] = ()) -> None:
        self.values = list(values)
        self._index = {value: i for i, value in enumerate(self.values)}

    def encode(self, series: pl.Series, *, learn: bool) -> np.ndarray:
        """`[N]` float32 places, NaN where null or NaN.

        Args:
            series: the label's column.
            learn: whether values that are not there yet become classes.

        Raises:
            BadValue: an infinite value, or one that is no class.
            UserError: a column of neither text nor numbers.
        """
        if series.dtype.is_nested() or series.dtype.is_temporal() or series.dtype in (pl.Binary, pl.Object):
            raise UserError(f"column {series.name!r} is {series.dtype}; a multiclass label is text or numbers")
        if series.dtype in (pl.Int128, pl.UInt128):
            narrow = series.cast(pl.Int64, strict=False)
            rule = "classes are text, or whole numbers of up to 64 bits"
            refuse_where(series, narrow.is_null() & series.is_not_null(), rule)
            series = narrow
        if series.dtype.is_decimal():
            series = series.cast(pl.Float64)
        if series.dtype.is_float():
            rule = "classes are finite; leave the field empty where it is not observed"
            refuse_where(series, series.is_infinite().fill_null(False), rule)
        text = isinstance(series.dtype, (pl.Categorical, pl.Enum))
        clean = series.cast(pl.String) if text else series.fill_nan(None) if series.dtype.is_float() else series
        distinct = clean.drop_nulls().unique(maintain_order=True)
        for value in distinct.to_list() if learn else ():
            if value not in self._index:
                self._index[value] = len(self.values)
                self.values.append(value)
        if not len(distinct):
            return np.full(len(series), np.nan, dtype=np.float32)
        places = pl.Series([self._index.get(value, -1) for value in distinct.to_list()], dtype=pl.Float32)
        encoded = clean.replace_strict(distinct, places, default=None, return_dtype=pl.Float32).to_numpy()
        shown = ", ".join(repr(value) for value in self.values[:10]) + (" …" if len(self.values) > 10 else "")
        refuse_where(series, encoded == -1, f"the training rows have no such class ({shown})")
        return encoded.copy()
