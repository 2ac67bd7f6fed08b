"""Data frames: polars inside; pandas, Arrow tables, columns and records for who brings those."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from trunkline.errors import Problems, UserError


def as_polars(frame: Any) -> pl.DataFrame:
    """A polars frame of the rows that somebody brings.

    Args:
        frame: a polars or pandas frame (whose index is dropped, NaN becomes null), an Arrow table, a mapping from
            names to columns, a list of records, or a NumPy array `[N, M]`, whose columns are called by their numbers.

    Raises:
        UserError: something else, a column that stands twice, or one of a type that no column has.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if is_pandas(frame):
        return _from_pandas(frame)
    if isinstance(frame, np.ndarray):
        return _from_array(frame)
    try:
        if isinstance(frame, Mapping):
            return pl.DataFrame({str(name): _brought(str(name), values) for name, values in frame.items()})
        if isinstance(frame, Sequence) and frame and all(isinstance(row, Mapping) for row in frame):
            records = [{str(name): None if _missing(value) else value for name, value in row.items()} for row in frame]
            return pl.from_dicts(records, infer_schema_length=None)
        if hasattr(frame, "__arrow_c_stream__") and not _of_pandas(frame):
            return pl.DataFrame(frame)
    except ImportError as error:
        raise UserError(
            f"rows as {type(frame).__name__} need a package that is not installed ({str(error).splitlines()[0]}): "
            "pip install 'trunkline[pandas]'"
        ) from error
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"the rows make no table: {str(error).splitlines()[0]}") from error
    raise UserError(
        "rows come as a polars or pandas frame, an Arrow table, a mapping of columns, a list of records or a NumPy "
        f"array [rows, columns], not as {type(frame).__name__}"
    )


def is_pandas(frame: Any) -> bool:
    """Whether it is a pandas frame, without importing pandas."""
    return _of_pandas(frame) and hasattr(frame, "columns")


def _of_pandas(thing: Any) -> bool:
    return type(thing).__module__.partition(".")[0] == "pandas"


def _missing(value: Any) -> bool:
    """Whether it is what NumPy or pandas has in place of nothing."""
    return (isinstance(value, float) and value != value) or (
        _of_pandas(value) and type(value).__name__ in ("NAType", "NaTType")
    )


def _brought(name: str, values: Any) -> Any:
    """A column of a mapping; one of pandas as those of its frames are read, so that pyarrow is not needed."""
    return _column(name, sys.modules["pandas"].Series(values)) if _of_pandas(values) else values


def like(
    made: pl.DataFrame, given: Any, *, beside: pl.DataFrame | None = None, kept: Mapping[str, str] | None = None
) -> Any:
    """Estimates as the sort of frame that the rows came in: pandas with its index for pandas, polars for all else.

    Args:
        made: the estimates.
        given: the rows.
        beside: columns of theirs to have before the estimates, under the names that they get.
        kept: these names by the columns' own.
    """
    if not is_pandas(given):
        return made if beside is None or not beside.width else pl.concat([beside, made], how="horizontal")
    places = {str(name): i for i, name in enumerate(given.columns)}
    columns = {written: given.iloc[:, places[name]].array for name, written in (kept or {}).items()}
    return pandas_of(made, type(given), index=given.index, before=columns)


def pandas_of(made: pl.DataFrame, kind: Any, *, index: Any = None, before: Mapping[str, Any] | None = None) -> Any:
    """A pandas frame of that class, without importing pandas; pyarrow is not needed.

    Args:
        made: the columns.
        kind: the class.
        index: of the rows.
        before: columns of pandas to have before them.
    """
    columns = {series.name: series.to_numpy() if series.dtype.is_numeric() else series.to_list() for series in made}
    return kind({**(before or {}), **columns}, index=index)


def _from_array(array: np.ndarray) -> pl.DataFrame:
    if array.ndim != 2:
        raise UserError(f"an array of rows has two dimensions, rows and columns; this one has shape {array.shape}")
    return pl.DataFrame([_series(str(i), array[:, i]) for i in range(array.shape[1])])


def _from_pandas(frame: Any) -> pl.DataFrame:
    """Column by column, so that what no column can hold is told by name; pyarrow is not needed."""
    names = [str(name) for name in frame.columns]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UserError(f"the frame has columns that stand twice: {', '.join(map(repr, twice))}")
    problems, columns = Problems(), list[pl.Series]()
    for place, name in enumerate(names):
        with problems.collect():
            columns.append(_column(name, frame.iloc[:, place]))
    problems.raise_if_any()
    return pl.DataFrame(columns) if columns else pl.DataFrame()


def _column(name: str, column: Any) -> pl.Series:
    """A column of pandas.

    Raises:
        UserError: a type that no column has.
    """
    kind, text = column.dtype, str(column.dtype)
    if text == "category":
        # Whatever the categories are, numbers too, they are names and no quantities.
        known = column.cat.categories
        words = [value if isinstance(value, str) else str(value) for value in known.tolist()]
        codes = pl.Series(name, column.cat.codes.to_numpy(), dtype=pl.Int64)
        places = codes.set(codes < 0, None)
        return pl.Series(words, dtype=pl.String).gather(places).alias(name).cast(pl.Categorical)
    if text.startswith("Sparse"):
        return _column(name, column.sparse.to_dense())
    if text.startswith("period"):
        return _column(name, column.dt.to_timestamp())
    if text.startswith("datetime64") and getattr(column.dt, "tz", None) is not None:
        moments = _series(name, column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
        return moments.dt.replace_time_zone("UTC").dt.convert_time_zone(str(column.dt.tz))
    if text.startswith("interval"):
        raise UserError(f"column {name!r} is {text}; write the ends of its intervals as columns of numbers")
    if text.startswith("complex"):
        raise UserError(f"column {name!r} is {text}; write its real and imaginary parts as columns")
    if isinstance(kind, np.dtype) and kind.kind in "biufmM":
        return _series(name, column.to_numpy())
    return _series(name, column.astype(object).where(column.notna(), None).to_numpy(dtype=object))


def _series(name: str, values: np.ndarray) -> pl.Series:
    """A polars column of a NumPy one, NaN and NaT as null.

    Raises:
        UserError: values of several types, or of one that no column has.
    """
    if values.dtype.kind in "biuf":
        return pl.Series(name, np.ascontiguousarray(values), nan_to_null=values.dtype.kind == "f")
    if values.dtype.kind in "mM":
        unit = np.datetime_data(values.dtype)[0]
        finer = unit if unit in ("ms", "us", "ns") else "ms"
        return pl.Series(name, np.ascontiguousarray(values.astype(f"{values.dtype.kind}8[{finer}]")))
    if values.dtype.kind == "c":
        raise UserError(f"column {name!r} is {values.dtype}; write its real and imaginary parts as columns")
    plain = [None if _missing(value) else value for value in values.tolist()]
    plain = [value.item() if isinstance(value, np.generic) else value for value in plain]
    sorts = {"number" if type(value) in (int, float) else type(value).__name__ for value in plain if value is not None}
    try:
        if len(sorts) <= 1:
            return pl.Series(name, plain, strict=False) if sorts == {"number"} else pl.Series(name, plain)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"column {name!r} cannot be read: {str(error).splitlines()[0]}") from error
    raise UserError(f"column {name!r} holds values of several types ({', '.join(sorted(sorts))}); give it one type")
