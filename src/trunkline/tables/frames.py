"""Data frames: polars inside, pandas for who brings pandas."""

from typing import Any

import polars as pl

from trunkline.errors import UserError


def as_polars(frame: Any) -> pl.DataFrame:
    """The polars frame itself, or a pandas frame as one (its index is dropped, NaN becomes null).

    Raises:
        UserError: something else, or a column that stands twice.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if is_pandas(frame):
        twice = frame.columns[frame.columns.duplicated()].tolist()
        if twice:
            raise UserError(f"the frame has columns that stand twice: {', '.join(map(repr, twice))}")
        return pl.from_pandas(frame)
    raise UserError(f"rows come as a polars or pandas frame, not as {type(frame).__name__}")


def is_pandas(frame: Any) -> bool:
    """Whether it is a pandas frame, without importing pandas."""
    return type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns")
