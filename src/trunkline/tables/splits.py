"""Splitting one table into training, validation and test rows: by time, by group or at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import polars as pl

from trunkline.errors import UserError, did_you_mean
from trunkline.tables.rows import BadValue
from trunkline.tables.time_format import TimeFormat

By = Literal["time", "group", "random"]
PARTS = ("train", "valid", "test")


@final
@dataclass(frozen=True, kw_only=True)
class Split:
    """A split of one table: by what, and into which shares.

    Attributes:
        by: `time` (the latest rows are test, those before validation), `group` (all rows of a group, such as a user,
            on one side) or `random`.
        column: the time or the group.
        valid: share of validation rows (of groups, under `group`), in [0, 1).
        test: likewise.
        seed: of the order in which rows or groups are drawn.
        unit: of times that are numbers since 1970, as in `TimeFormat`; numbers are ordered as they are without it.
        format: of times that are text, likewise; found in the rows if None.
        zone: of times that name none.

    Raises:
        UserError: shares out of range, or a column missing where one is needed.
    """

    by: By
    column: str | None = None
    valid: float = 0.1
    test: float = 0.1
    seed: int = 0
    unit: str | None = None
    format: str | None = None
    zone: str | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.valid < 1 and 0 <= self.test < 1 and self.valid + self.test < 1):
            raise UserError(f"split valid {self.valid}, test {self.test}: shares >= 0 whose sum is below 1")
        if self.by != "random" and self.column is None:
            raise UserError(f"split by {self.by} needs `column`, the {self.by}'s column")
        try:
            TimeFormat(unit=self.unit, format=self.format, zone=self.zone)
        except UserError as error:
            raise UserError(f"split: {problem}" for problem in error.problems) from None


def cut(frame: pl.DataFrame, split: Split) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """The parts `train`, `valid`, `test` (empty ones left out), rows in their order, and what decided.

    Rows of equal time are never divided. What decided holds each part's rows and, by time, the first moment of
    validation and of test.

    Raises:
        UserError: the column is missing or has nulls; a part that was asked for has no row.
    """
    check_column(split, frame.columns)
    parts, result = assign(split, None if split.by == "random" else frame[split.column or ""], rows=len(frame))
    return {part: frame.filter(pl.Series(parts == PARTS.index(part))) for part in result["rows"]}, result


def check_column(split: Split, columns: Sequence[str]) -> None:
    """Make sure that the table has the column.

    Raises:
        UserError: it has not.
    """
    if split.column is not None and split.column not in columns:
        hint = did_you_mean(split.column, columns)
        raise UserError(f"split by {split.by}: column {split.column!r} is not in the table{hint}")


def assign(
    split: Split,
    key: pl.Series | None,
    *,
    rows: int,
    strata: np.ndarray | None = None,
    classes: Sequence[np.ndarray] = (),
) -> tuple[np.ndarray, dict[str, Any]]:
    """Of every row the position of its part in `PARTS`, `[rows]` int8, and what decided, as `cut` gives it.

    Args:
        split: how to cut.
        key: the split's column; none is needed at random.
        rows: of the table.
        strata: `[rows]`, what a random split spreads evenly over the parts.
        classes: `[rows]` each, of whose every value a random split gives a row to training, the first where it would
            have none: what is not learnt cannot be asked for.

    Raises:
        UserError: the column has nulls; a part that was asked for has no row.
    """
    starts: dict[str, Any] = {}
    if split.by == "random":
        places = _at_random(rows, split.seed, strata)
    else:
        assert key is not None
        key = key.fill_nan(None) if key.dtype.is_float() else key
        if key.null_count():
            row = key.is_null().arg_true()[0] + 1
            raise UserError(f"split by {split.by}: column {split.column!r} is null in row {row}")
        if split.by == "time":
            places, starts = _by_time(_in_order(key, split), split)
        else:
            places = _by_group(key, split.seed)
    parts = np.zeros(rows, dtype=np.int8)
    parts[places >= 1 - split.valid - split.test] = PARTS.index("valid")
    parts[places >= 1 - split.test] = PARTS.index("test")
    for column in classes if split.by == "random" else ():
        values, first = np.unique(column, return_index=True)
        parts[first[~np.isin(values, column[parts == 0])]] = 0
    counts = {}
    for part, count in zip(PARTS, np.bincount(parts, minlength=len(PARTS)).tolist(), strict=True):
        if count:
            counts[part] = count
        elif part == "train" or getattr(split, part) > 0:
            raise UserError(f"split by {split.by}: no row is left for {part}; the table has {rows} rows")
    return parts, {"rows": counts, **starts}


def _at_random(rows: int, seed: int, strata: np.ndarray | None) -> np.ndarray:
    """A place in [0, 1) for every row, evenly spread; within each stratum too, so that no part lacks a rare one."""
    draw = np.random.default_rng(seed)
    order, places = draw.permutation(rows), np.empty(rows)
    if strata is None:
        places[order] = (np.arange(rows) + 0.5) / rows
        return places
    _, codes, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    # Every stratum begins somewhere else: those of a few rows would all end in the same part.
    starts, within = draw.random(len(sizes)), np.argsort(codes[order], kind="stable")
    ordered = order[within]
    rank = np.arange(rows) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places[ordered] = (rank + starts[codes[ordered]]) / sizes[codes[ordered]]
    return places


def _in_order(key: pl.Series, split: Split) -> pl.Series:
    """Times that can be compared: numbers and dates as they are, text as what it says.

    Raises:
        UserError: text that is neither a time nor a number, or times that may be read in two ways.
    """
    text = isinstance(key.dtype, (pl.String, pl.Categorical, pl.Enum))
    if not text and split.unit is None and split.zone is None:
        if key.dtype.is_numeric() or key.dtype.is_temporal():
            return key
        raise UserError(f"split by time: column {split.column!r} is {key.dtype}; a time is a date, a number or text")
    if text and split.unit is None and split.format is None:
        numbers = key.cast(pl.String).str.strip_chars().cast(pl.Int64, strict=False)
        if not numbers.null_count():
            return numbers
    try:
        return TimeFormat(unit=split.unit, format=split.format, zone=split.zone).parse(key)
    except BadValue as error:
        raise UserError(f"split by time: {error.in_table(pl.DataFrame())}") from None
    except UserError as error:
        raise UserError(f"split by time: {problem} (data.split.format)" for problem in error.problems) from None


def _by_time(key: pl.Series, split: Split) -> tuple[np.ndarray, dict[str, Any]]:
    ordered = key.sort()
    n = len(key)
    places, starts = np.zeros(n), {}
    for part, edge in (("valid", 1 - split.valid - split.test), ("test", 1 - split.test)):
        if edge < 1 and getattr(split, part) > 0:
            start = ordered[min(round(edge * n), n - 1)]
            starts[f"{part}_from"] = str(start) if key.dtype.is_temporal() else start
            places[(key >= start).to_numpy()] = edge
    return places, starts


def _by_group(key: pl.Series, seed: int) -> np.ndarray:
    groups = key.unique().sort()
    rank = np.empty(len(groups))
    rank[np.random.default_rng(seed).permutation(len(groups))] = (np.arange(len(groups)) + 0.5) / len(groups)
    return key.replace_strict(groups, pl.Series(rank), return_dtype=pl.Float64).to_numpy()
