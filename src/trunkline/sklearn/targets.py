"""Labels as scikit-learn's users bring them: one column or several, of any type, with holes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import polars as pl
from sklearn.utils.validation import check_array, column_or_1d

from trunkline.errors import Problems
from trunkline.sklearn.rows import is_frame
from trunkline.tables.frames import is_pandas
from trunkline.tasks.names import task_name


@final
@dataclass(frozen=True)
class Target:
    """An output's labels.

    Attributes:
        name: of its column; None in an array.
        observed: `[N]` boolean, false where the label is missing.
        values: the observed labels, as they were given.
    """

    name: str | None
    observed: np.ndarray
    values: np.ndarray


def read_targets(y: Any) -> tuple[list[Target], bool]:
    """The outputs, and whether there is one alone, in one dimension.

    NaN, NaT, None and the missing values of pandas and polars say that a label was not observed.

    Args:
        y: `[N]` or `[N, n_outputs]`: an array, lists, a pandas or polars frame or series.

    Raises:
        ValueError: another shape, complex numbers.
        TypeError: a sparse matrix.
    """
    y = y.collect() if isinstance(y, pl.LazyFrame) else y
    if is_frame(y):
        if is_pandas(y):
            return [_target(str(name), y.iloc[:, i]) for i, name in enumerate(y.columns)], False
        return [_target(column.name, column) for column in y], False
    if isinstance(y, pl.Series) or _is_pandas_series(y):
        return [_target(None if y.name in (None, "") else str(y.name), y)], True
    array = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=False, ensure_min_samples=0, input_name="y")
    if array.ndim == 1:
        return [_of_array(None, array)], True
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"y has shape {array.shape}; it is [rows] or [rows, outputs]")
    return [_of_array(None, array[:, i]) for i in range(array.shape[1])], False


def task_names(targets: Sequence[Target], keys: Sequence[str] = ()) -> list[str]:
    """The tasks' names, which are the outputs'.

    A frame's columns give their names, with `_` for what no name of a task holds. Those of an array are `y0`, `y1`, …
    and a single one is `y`, unless `keys` are as many as there are outputs.

    Args:
        targets: the outputs.
        keys: the names that the user has given, in order.

    Raises:
        UserError: two columns that give the same name.
    """
    if any(target.name is None for target in targets):
        plain = ["y"] if len(targets) == 1 else [f"y{i}" for i in range(len(targets))]
        return list(keys) if len(keys) == len(targets) and not set(keys) <= set(plain) else plain
    names = [as_name(str(target.name)) for target in targets]
    problems = Problems()
    for name in dict.fromkeys(names):
        alike = [repr(target.name) for target, own in zip(targets, names, strict=True) if own == name]
        if len(alike) > 1:
            problems.add(f"columns {', '.join(alike)} of y would all be task {name}; rename all but one")
    problems.raise_if_any()
    return names


def as_name(column: str) -> str:
    """A column's name as a task may have it: letters, digits, `_` and `-`, a letter or `_` first."""
    return task_name(column)


def _is_pandas_series(y: Any) -> bool:
    return type(y).__module__.partition(".")[0] == "pandas" and hasattr(y, "iloc")


def _target(name: str | None, column: Any) -> Target:
    if isinstance(column, pl.Series):
        observed = column.is_not_null() & column.is_not_nan() if column.dtype.is_float() else column.is_not_null()
        return Target(name, observed.to_numpy(), column.filter(observed).to_numpy())
    there = column.notna().to_numpy()
    return Target(name, there, _alike(column_or_1d(column[there].to_numpy())))


def _of_array(name: str | None, array: np.ndarray) -> Target:
    if array.dtype.kind == "f":
        observed = ~np.isnan(array)
    elif array.dtype.kind in "mM":
        observed = ~np.isnat(array)
    elif array.dtype.kind == "O":
        observed = np.array([not _is_missing(value) for value in array], dtype=bool)
    else:
        observed = np.ones(len(array), dtype=bool)
    return Target(name, observed, _alike(array[observed]))


def _alike(values: np.ndarray) -> np.ndarray:
    """Numbers that came as objects, because of what was missing among them, as numbers again."""
    plain = values.tolist() if values.dtype.kind == "O" else [""]
    return np.array(plain) if plain and all(isinstance(one, (bool, int, float)) for one in plain) else values


def _is_missing(value: Any) -> bool:
    """None, NaN, or the mark of pandas, which is not even unequal to itself."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )
