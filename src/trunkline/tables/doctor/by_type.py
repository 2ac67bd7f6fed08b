"""From a column's type and values to the kind of feature that it is."""

import polars as pl

from trunkline.tables.doctor.by_text import take_text
from trunkline.tables.doctor.integers import is_index, take_integers
from trunkline.tables.doctor.sentinels import or_sentinel
from trunkline.tables.doctor.taken import NO_VALUE, ONE_VALUE, ROW_NUMBERS, TEXT, Taken


def take(
    series: pl.Series, known: pl.Series, distinct: int | None, rows: pl.Series | None, *, comma_likely: bool
) -> Taken:
    """What a column is taken for.

    Args:
        series: `[N]`, some rows of it.
        known: those that have a value.
        distinct: different values; None of a type that cannot be compared.
        rows: `[N]`, the rows' numbers; None where row numbers are not to be looked for.
        comma_likely: whether a decimal comma is to be expected in text.
    """
    dtype = series.dtype
    if not len(known):
        return Taken(None, NO_VALUE)
    unusable = _unusable(dtype)
    if unusable:
        return Taken(None, unusable)
    if distinct == 1:
        return Taken(None, ONE_VALUE)
    if dtype == pl.Boolean:
        return Taken("boolean", "true or false")
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return Taken("datetime", "dates")
    if isinstance(dtype, (pl.List, pl.Array)):
        return _take_list(dtype, known)
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        return Taken("categorical", "categories, by its type")
    if isinstance(dtype, TEXT):
        return take_text(known.cast(pl.String), distinct or 0, comma_likely=comma_likely)
    if dtype.is_integer():
        return take_integers(series, known, distinct or 0, rows)
    if is_index(series, known, rows):
        return Taken(None, ROW_NUMBERS)
    return or_sentinel(Taken("numeric", "fractions"), known)


def _unusable(dtype: pl.DataType) -> str:
    """Why a type is no feature, and what to do; empty if it may be one."""
    remedies = {
        pl.Duration: "write its length as a number, such as seconds",
        pl.Time: "write it as hours or minutes of the day, or as text",
        pl.Struct: "write its fields as columns",
        pl.Binary: "write what it holds as text or numbers",
        pl.Object: "its values are of several types; give them one",
    }
    for kind, remedy in remedies.items():
        if dtype == kind or isinstance(dtype, kind):
            return f"{str(dtype).partition('(')[0]} is no feature; {remedy}"
    return ""


def _take_list(dtype: pl.List | pl.Array, known: pl.Series) -> Taken:
    inner = dtype.inner
    if inner.is_integer() or isinstance(inner, TEXT):
        return Taken("bag", "lists of text" if isinstance(inner, TEXT) else "lists of whole numbers")
    if inner.is_float():
        lengths = {dtype.size} if isinstance(dtype, pl.Array) else set(known.list.len().unique().to_list()[:2])
        alike = "vector" if len(lengths) == 1 else "write them as columns"
        return Taken(
            None, f"lists of fractions; to use them, {'name the kind: vector' if alike == 'vector' else alike}"
        )
    return Taken(None, f"{dtype} is no feature; write it as lists of text or numbers, or as columns")
