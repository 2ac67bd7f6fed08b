"""Label values as people write them: words, marks for "missing", and what they stand for."""

import numpy as np
import polars as pl

from trunkline.errors import UserError, did_you_mean
from trunkline.tables.number_format import NumberFormat
from trunkline.tables.rows import refuse_where
from trunkline.tasks import Binary, Task

_TEXT = (pl.String, pl.Categorical, pl.Enum)


def read_labels(task: Task, series: pl.Series) -> pl.Series:
    """A label's column with its words replaced by what the task says they stand for.

    Args:
        task: with its `meanings`, `missing` and `format`, and a binary one's `positive` and `negative`.
        series: `[N]` as the table has it.

    Returns:
        The column itself where the task says nothing and it is not text that reads as numbers; numbers, or text for a
        leveled kind, with null where missing.

    Raises:
        BadValue: a word that stands for nothing, with its row.
    """
    if isinstance(task, Binary) and task.positive is not None:
        return _two_words(task, str(task.positive), _without_marks(task, series))
    if not task.meanings:
        return _without_marks(task, series)
    result = _without_marks(task, series)
    targets = {key: target for key, target in task.meanings if target is not None}
    marked = _is_any(result, [key for key, target in task.meanings if target is None])
    result = result.set(marked, None) if marked.any() else result
    if task.leveled and (_is_text(result) or any(isinstance(target, str) for target in targets.values())):
        text = result.cast(pl.String)
        for key, target in targets.items():
            text = text.set(_is_any(result, [key]), str(target))
        return text
    numbers = _as_numbers(result, task)
    for key, target in targets.items():
        numbers = numbers.set(_is_any(result, [key]), _number(task, key, target))
    known = ", ".join(repr(key) for key, _ in task.meanings)
    refuse_where(
        series,
        (numbers.is_null() & result.is_not_null()).to_numpy(),
        f"it is neither a number nor one of {known}; say in tasks.{task.name}.values what it stands for, or `missing`",
    )
    return numbers


def _without_marks(task: Task, series: pl.Series) -> pl.Series:
    marked = _is_any(series, task.missing)
    if _is_text(series) and (task.format or not task.leveled) and (marks := NumberFormat(missing=task.missing).marks):
        marked |= _as_numbers(series, task).is_in(marks).fill_null(False)
    series = series.set(marked, None) if marked.any() else series
    if _is_text(series) and task.format:  # an empty cell among people's numbers
        series = series.set(NumberFormat().missing_in(series.cast(pl.String)), None)
    # One word makes text of a column of numbers: without it, and outside `where`, they are numbers again.
    if _is_text(series) and (task.format or not task.leveled):
        numbers = _as_numbers(series, task)
        if task.format and not task.meanings:
            refuse_where(
                series,
                (numbers.is_null() & series.is_not_null()).to_numpy(),
                f"it is no number in the format of tasks.{task.name}.format; say in tasks.{task.name} what it means: "
                "`missing` or `values`",
            )
        if numbers.null_count() == series.null_count():
            return numbers
    return series


def _two_words(task: Binary, positive: str, series: pl.Series) -> pl.Series:
    happened = _is_any(series, [positive])
    known = happened | series.is_null()
    if task.negative is not None:
        known |= _is_any(series, [str(task.negative)])
        rule = f"a label of {task.name} is {positive!r} or {task.negative!r}"
    else:
        # Anything else says that it did not happen, but not another spelling of the same word.
        like = series.cast(pl.String).str.strip_chars().str.to_lowercase() == positive.strip().lower()
        known |= ~like.fill_null(False)
        rule = f"that is nearly {positive!r}, which stands for 1"
    rule += f"; for others write tasks.{task.name}.values, such as {{{positive!r}: 1, …}}"
    refuse_where(series, ~known.to_numpy(), rule)
    return happened.cast(pl.Float64).set(series.is_null(), None)


def _is_text(series: pl.Series) -> bool:
    return isinstance(series.dtype, _TEXT)


def _is_any(series: pl.Series, words: "list[str] | tuple[str, ...]") -> pl.Series:
    """`[N]` boolean: where a value is one of these words, or a number one of theirs; blanks around do not count."""
    none = pl.Series(np.zeros(len(series), dtype=bool))
    if series.dtype == pl.Null or not words:
        return none
    if _is_text(series):
        return series.cast(pl.String).str.strip_chars().is_in([word.strip() for word in words]).fill_null(False)
    if series.dtype == pl.Boolean:
        return series.cast(pl.String).is_in([word.strip().lower() for word in words]).fill_null(False)
    if series.dtype.is_numeric():
        numbers = pl.Series(list(words)).str.strip_chars().cast(pl.Float64, strict=False).drop_nulls()
        return series.cast(pl.Float64).is_in(numbers.to_list()).fill_null(False)
    return none


def _as_numbers(series: pl.Series, task: Task) -> pl.Series:
    """Float64, null where a text is no number as the task's are written."""
    if _is_text(series) and task.format:
        return NumberFormat.of(dict(task.format)).parse(series.cast(pl.String))
    if _is_text(series):
        return series.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    return series.cast(pl.Float64, strict=False)


def _number(task: Task, key: str, target: "str | float | None") -> float:
    if isinstance(target, (int, float)):
        return float(target)
    hint = did_you_mean(str(target), ["missing"])
    raise UserError(
        f"task {task.name}: values: {key!r} stands for {target!r}; a {task.kind} label is a number, or `missing`{hint}"
    )
