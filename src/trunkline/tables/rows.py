"""Row numbers that survive cutting and streaming, so that a message can name the row in the user's table."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from trunkline.errors import UserError

ROW = "__row__"
"""Column of row numbers, from 1, that `source.scan` adds to every table."""


class BadValue(Exception):
    """A value that its column cannot hold.

    Args:
        series: the column.
        index: position of the value in it.
        rule: what holds there, and what to do.
    """

    def __init__(self, series: pl.Series, index: int, rule: str) -> None:
        super().__init__(rule)
        self.column, self.index, self.value, self.rule = series.name, index, series[index], rule

    def in_table(self, frame: pl.DataFrame) -> UserError:
        """The error with the row's number in the table that `frame` is a part of."""
        row = frame[ROW][self.index] if ROW in frame.columns else self.index + 1
        return UserError(f"column {self.column!r} holds {_shown(self.value)} in row {row}; {self.rule}")


# the last one: a value that is shown may hold another
_IN_ROW = re.compile(r" in row (\d+)(?!.* in row \d)", re.DOTALL)


def in_file(problem: str, place: Callable[[int], tuple[object, int]]) -> str | None:
    """A problem of a row of several files, told of the row in its file; None where the problem names no row."""
    found = _IN_ROW.search(problem)
    if found is None:
        return None
    path, row = place(int(found[1]))
    return f"{path}: {problem[: found.start(1)]}{row}{problem[found.end(1) :]}"


def refuse_where(series: pl.Series, wrong: Any, rule: str) -> None:
    """Raise `BadValue` at the first true position of a mask over the column, if there is one."""
    mask = np.asarray(wrong, dtype=bool)
    if mask.any():
        raise BadValue(series, int(mask.argmax()), rule)


def _shown(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
