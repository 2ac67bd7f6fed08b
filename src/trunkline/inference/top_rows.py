"""Top rows: those with the largest values of a column, from a stream, in memory for so many rows."""

from collections.abc import Iterable, Sequence

import polars as pl

from trunkline.errors import UserError, did_you_mean
from trunkline.tasks import Task


def ranked_by(by: str | None, tasks: Sequence[Task], made: pl.DataFrame) -> str:
    """The estimates' column that ranks rows.

    Args:
        by: a task, or a column of numbers that is written with its estimate, such as the probability of a class; the
            only task where there is one.
        tasks: of the model.
        made: estimates of any rows, or of none.

    Raises:
        UserError: several tasks and none named; a name that is none of theirs; a column without an order.
    """
    names = [task.name for task in tasks]
    if by is None:
        if len(names) > 1:
            raise UserError(f"--top: rows can be ranked by {', '.join(names)}; name one: --by {names[0]}")
        by = names[0]
    if by not in made.columns:
        known = ", ".join(made.columns)
        raise UserError(f"--by {by!r} is none of the estimates{did_you_mean(by, made.columns)}; there are {known}")
    if not made[by].dtype.is_numeric() or any(task.name == by and task.kind == "multiclass" for task in tasks):
        classes = [name for name in made.columns if name.startswith(f"{by}_")]
        raise UserError(
            f"--by {by}: its estimate is a class, and classes have no order; name a probability: --by {classes[0]}"
        )
    return by


def top_rows(frames: Iterable[pl.DataFrame], count: int, *, by: str) -> pl.DataFrame:
    """The `count` rows with the largest values, the largest first; of equal ones those that come first.

    Args:
        frames: of one schema, taken one at a time; memory holds `count` rows beside one of them.
        count: of rows, at least 1; all where there are fewer.
        by: a column of numbers. A null or NaN comes last.

    Raises:
        UserError: a count below 1.
    """
    if count < 1:
        raise UserError(f"--top {count}: it must be at least 1")
    best: pl.DataFrame | None = None
    for frame in frames:
        rows = frame
        if best is not None:
            if len(best) == count and (least := best[by][-1]) is not None and least == least:
                rows = frame.filter(pl.Series(frame[by].fill_nan(None) > least).fill_null(False))
                if not len(rows):
                    continue
            rows = pl.concat([best, rows])
        # polars sorts NaN as the largest and nulls where it is told; a stable order by the negated place needs neither
        ranked = rows.select(_rank=pl.col(by).cast(pl.Float64).fill_nan(None), _place=pl.int_range(pl.len()))
        order = ranked.sort("_rank", "_place", descending=[True, False], nulls_last=True)["_place"]
        best = rows[order.head(count)]
    return pl.DataFrame() if best is None else best
