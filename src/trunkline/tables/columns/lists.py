"""The flat elements of a column of lists."""

import json
from typing import NamedTuple, NoReturn, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.number_format import LONGEST, MARKS, shorter
from trunkline.tables.rows import BadValue, refuse_where


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


def split_cells(series: pl.Series, separator: str | None) -> pl.Series:
    """Lists of text, from cells that hold them as text; a column of lists as it is.

    Args:
        series: `[N]`.
        separator: between the elements; `json` of JSON lists, beside which words such as `n/a` are missing; None of a
            column that has lists.

    Raises:
        BadValue: a cell that is no JSON list.
    """
    if separator is None or isinstance(series.dtype, (pl.List, pl.Array)) or series.dtype == pl.Null:
        return series
    text = series.cast(pl.String).str.strip_chars()
    none = text == ""
    if separator == "json":  # a bare word is no list
        none = none | shorter(text, LONGEST).str.to_lowercase().is_in(MARKS)
    text = text.set(none.fill_null(False), None)
    if separator != "json":
        lists = text.str.split(separator)
        cleaned = lists.list.eval(pl.element().str.strip_chars()).list.eval(pl.element().filter(pl.element() != ""))
        return cleaned.alias(series.name)
    try:
        return text.str.json_decode(pl.List(pl.String)).alias(series.name)
    except pl.exceptions.PolarsError:
        wrong = [not _is_json_list(cell) for cell in text.to_list()]
        refuse_where(series, wrong, "its cells are JSON lists of text or numbers (separator: json)")
        raise


def _is_json_list(cell: str | None) -> bool:
    try:
        found = [] if cell is None else json.loads(cell)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, list) and all(isinstance(one, (str, int, float)) or one is None for one in found)
