"""Vocabularies: values of the training rows, each with a row of the embedding table."""

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.nn.embedding import MISSING, UNSEEN
from trunkline.tables.columns.lookup import make_lookup

_DTYPES: dict[str, pl.DataType] = {str(dtype): dtype for dtype in (pl.String(), pl.Int64(), pl.UInt64(), pl.Float64())}
_TYPES: dict[str, set[type]] = {"String": {str}, "Int64": {int}, "UInt64": {int}, "Float64": {float, int}}
"""What stands for their values in JSON."""


@final
class Vocabulary:
    """Known values; row 0 stands for missing, row 1 for unseen, the rest for the values in their order.

    Args:
        values: distinct text, Int64, UInt64 or Float64; that type is the one in which values are compared, so 64-bit
            ids stay whole.

    Raises:
        UserError: more values than 32-bit ids can tell apart.
    """

    def __init__(self, values: pl.Series) -> None:
        if len(values) + 2 > 2**31 - 1:
            raise UserError(f"{len(values)} values are more than ids of 32 bits can tell apart; use min_count or rows")
        self.values = values.alias("value")
        self._lookup = make_lookup(self.values)

    @property
    def rows(self) -> int:
        """Rows of the embedding table."""
        return len(self.values) + 2

    def write_codes(self, series: pl.Series, out: np.ndarray) -> None:
        """Write rows of the table over `out` `[N]` int32: 0 where null or NaN, 1 where unseen."""
        values = as_vocabulary(series, self.values.dtype)
        np.add(self._lookup.find(values), UNSEEN + 1, out=out)
        if values is not series and values.null_count():
            np.copyto(out, UNSEEN, where=values.is_null().to_numpy())
        missing = missing_in(series)
        if missing is not None:
            np.copyto(out, MISSING, where=missing)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Vocabulary)
            and self.values.dtype == other.values.dtype
            and self.values.equals(other.values)
        )

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes an equal vocabulary."""
        return {"dtype": str(self.values.dtype), "values": self.values.to_list()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The vocabulary that `to_json` wrote.

        Raises:
            TypeError: it is something else.
            ValueError: values that are not each there once.
        """
        values, dtype = fields["values"], _DTYPES.get(str(fields["dtype"]))
        if not isinstance(values, list) or dtype is None or not {type(value) for value in values} <= _TYPES[str(dtype)]:
            raise TypeError(f"values must be a list of one type, which is one of {', '.join(_DTYPES)}")
        known = pl.Series(values, dtype=dtype)
        if known.n_unique() < len(known):
            raise ValueError("a value stands twice")
        return cls(known)


def vocabulary_dtype(series: pl.Series) -> pl.DataType:
    """The type in which the values of a column of training rows are compared.

    Raises:
        UserError: a column of what is no category.
    """
    _check_categories(series)
    if series.dtype == pl.UInt64:
        return pl.UInt64()
    if series.dtype in (pl.Int128, pl.UInt128) or series.dtype.is_decimal():
        return pl.String()  # a word of 64 bits would not tell them apart
    if series.dtype.is_integer():
        return pl.Int64()
    return pl.Float64() if series.dtype.is_float() else pl.String()


def _check_categories(series: pl.Series) -> None:
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Duration, pl.Object):
        raise UserError(f"column {series.name!r} is {series.dtype}; categories are text, numbers or dates")


def as_vocabulary(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Cast for comparison with a vocabulary; what cannot be cast is null.

    Raises:
        UserError: a column of what is no category.
    """
    _check_categories(series)
    if series.dtype.is_float():
        series = series.fill_nan(None)
        if dtype.is_integer():
            series = series.set(series.floor() != series, None)
    elif isinstance(series.dtype, (pl.Categorical, pl.Enum)) or series.dtype.is_temporal():
        series = series.cast(pl.String)
    values = series if series.dtype == dtype else series.cast(dtype, strict=False)
    if series.dtype == pl.String and dtype.is_integer() and values.null_count() > series.null_count():
        # a whole number that somebody's frame held as a float
        values = series.str.replace(r"\.0+$", "").cast(dtype, strict=False)
    return values


def missing_in(series: pl.Series) -> np.ndarray | None:
    """`[N]` bool, true where null or NaN; None where nothing is."""
    if series.dtype.is_float():
        series = series.fill_nan(None)
    return series.is_null().to_numpy() if series.null_count() else None
