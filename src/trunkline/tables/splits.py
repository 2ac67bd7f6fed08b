"""Splitting one table into training, validation and test rows: by time, by group or at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import polars as pl

from trunkline.errors import UserError, did_you_mean

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

    Raises:
        UserError: shares out of range, or a column missing where one is needed.
    """

    by: By
    column: str | None = None
    valid: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.valid < 1 and 0 <= self.test < 1 and self.valid + self.test < 1):
            raise UserError(f"split valid {self.valid}, test {self.test}: shares >= 0 whose sum is below 1")
        if self.by != "random" and self.column is None:
            raise UserError(f"split by {self.by} needs `column`, the {self.by}'s column")


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


def assign(split: Split, key: pl.Series | None, *, rows: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Of every row the position of its part in `PARTS`, `[rows]` int8, and what decided, as `cut` gives it.

    Args:
        split: how to cut.
        key: the split's column; none is needed at random.
        rows: of the table.

    Raises:
        UserError: the column has nulls; a part that was asked for has no row.
    """
    starts: dict[str, Any] = {}
    if split.by == "random":
        places = np.empty(rows)
        places[np.random.default_rng(split.seed).permutation(rows)] = (np.arange(rows) + 0.5) / rows
    else:
        assert key is not None
        key = key.fill_nan(None) if key.dtype.is_float() else key
        if key.null_count():
            row = key.is_null().arg_true()[0] + 1
            raise UserError(f"split by {split.by}: column {split.column!r} is null in row {row}")
        if split.by == "time":
            places, starts = _by_time(key, split)
        else:
            places = _by_group(key, split.seed)
    parts = np.zeros(rows, dtype=np.int8)
    parts[places >= 1 - split.valid - split.test] = PARTS.index("valid")
    parts[places >= 1 - split.test] = PARTS.index("test")
    counts = {}
    for part, count in zip(PARTS, np.bincount(parts, minlength=len(PARTS)).tolist(), strict=True):
        if count:
            counts[part] = count
        elif part == "train" or getattr(split, part) > 0:
            raise UserError(f"split by {split.by}: no row is left for {part}; the table has {rows} rows")
    return parts, {"rows": counts, **starts}


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
