"""The flat elements of a column of lists."""

from typing import NamedTuple, NoReturn, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.rows import BadValue


@final
class Elements(NamedTuple):
    """Flat elements of a column of lists.

    Attributes:
        values: all elements in order, none of them null.
        lengths: `[N]` int64, how many each row has; 0 for a null list.
        missing: `[N]` bool, true where the list itself is null; None where none is.
    """

    values: pl.Series
    lengths: np.ndarray
    missing: np.ndarray | None


def elements(series: pl.Series, *, holds: str, last: int | None = None) -> Elements:
    """Take the lists of a column apart.

    Args:
        series: lists, or arrays of one length.
        holds: what it should hold, for the message: "a bag holds lists of …".
        last: keep no more than so many elements from the end of each list.

    Raises:
        BadValue: a null inside a list.
        UserError: a column of anything but lists.
    """
    if series.dtype == pl.Null:
        series = series.cast(pl.List(pl.Null))
    elif isinstance(series.dtype, pl.Array):
        series = series.arr.to_list()
    if not isinstance(series.dtype, pl.List):
        raise UserError(
            f"column {series.name!r} is {series.dtype}; {holds}, and lists come from Parquet, IPC or NDJSON files"
        )
    missing = series.is_null().to_numpy() if series.null_count() else None
    lengths = series.list.len().fill_null(0).to_numpy().astype(np.int64)
    if last is not None and (lengths > last).any():
        series, lengths = series.list.tail(last), np.minimum(lengths, last)
    values = series.filter(pl.Series(lengths > 0)).explode()
    if values.null_count():
        place = values.is_null().arg_true()[0]
        row = int(np.searchsorted(lengths.cumsum(), place, side="right"))
        refuse_list(series, row, f"{holds}; drop the nulls inside")
    return Elements(values, lengths, missing)


def refuse_list(series: pl.Series, row: int, rule: str) -> NoReturn:
    """Raise `BadValue` for one row of a column of lists.

    Raises:
        BadValue: always.
    """
    error = BadValue(series, row, rule)
    error.value = error.value.to_list()
    raise error
