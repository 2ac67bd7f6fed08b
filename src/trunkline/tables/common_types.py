"""One type for each column of a table that lies in several files."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import polars as pl

from trunkline.errors import Problems

Types = Mapping[str, pl.DataType]


def common_types(
    names: Sequence[str], types: Sequence[Types], valueless: Callable[[int, str], bool]
) -> dict[str, pl.DataType]:
    """The type of each column, in the order of the first file.

    Numbers go with numbers, text with text, moments with moments, in the wider of their types; a column without a
    value in a file goes with anything.

    Args:
        names: of the files.
        types: of the columns of each.
        valueless: whether a file (by position) has no value in a column; it is asked about text only, as which a
            column of empty fields is read from a CSV.

    Raises:
        UserError: a column that one file has and another has not; types that do not go together; all of them.
    """
    problems = Problems()
    found: dict[str, pl.DataType] = {}
    for column in dict.fromkeys(column for of_file in types for column in of_file):
        having = [i for i, of_file in enumerate(types) if column in of_file]
        if len(having) < len(types):
            lacking = next(i for i, of_file in enumerate(types) if column not in of_file)
            problems.add(
                f"column {column!r} ({types[having[0]][column]} in {names[having[0]]}) is missing in {names[lacking]}; "
                "the files of one table have the same columns: add it, or leave that file out"
            )
            continue
        kinds = [of_file[column] for of_file in types]
        common = _common(kinds)
        if common is None and pl.String in kinds:
            kinds = [pl.Null() if kind == pl.String and valueless(i, column) else kind for i, kind in enumerate(kinds)]
            common = _common(kinds)
        if common is None:
            one, other = _at_odds(kinds)
            problems.add(
                f"column {column!r} is {kinds[one]} in {names[one]} and {kinds[other]} in {names[other]}; "
                "in the files of one table a column has one type; write one of them anew, or leave it out"
            )
            continue
        found[column] = common
    problems.raise_if_any()
    return found


def _common(kinds: Sequence[pl.DataType]) -> pl.DataType | None:
    common: pl.DataType | None = pl.Null()
    for kind in kinds:
        common = None if common is None else _wider(common, kind)
    return common


def _at_odds(kinds: Sequence[pl.DataType]) -> tuple[int, int]:
    """Two files whose types do not go together."""
    other = next(i for i in range(len(kinds)) if _common(kinds[: i + 1]) is None)
    return next((i for i in range(other) if _wider(kinds[i], kinds[other]) is None), 0), other


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        inner = _wider(cast(pl.DataType, one.inner), cast(pl.DataType, other.inner))
        return None if inner is None else pl.List(inner)
    if _sort(one) != _sort(other) or (one.is_integer() and other.is_integer() and _no_integer_holds(one, other)):
        return None
    try:
        empty = [pl.DataFrame({"x": pl.Series([], dtype=kind)}) for kind in (one, other)]
        return pl.concat(empty, how="vertical_relaxed").schema["x"]
    except pl.exceptions.PolarsError:
        return None


def _sort(kind: pl.DataType) -> Any:
    if kind.is_numeric():
        return "number"
    if isinstance(kind, (pl.String, pl.Categorical, pl.Enum)):
        return "text"
    return "moment" if isinstance(kind, (pl.Date, pl.Datetime)) else kind


def _no_integer_holds(one: pl.DataType, other: pl.DataType) -> bool:
    """Where polars would take a float, in which large ids are no longer told apart."""
    return pl.UInt64 in (one, other) and (one.is_signed_integer() or other.is_signed_integer())
