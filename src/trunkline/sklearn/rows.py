"""Features as scikit-learn's users bring them: frames with any columns, arrays of numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from sklearn.utils.validation import check_array, validate_data

from trunkline.errors import Problems
from trunkline.tables.frames import as_polars, is_pandas

_TEXT = (pl.String, pl.Categorical, pl.Enum)


def is_frame(X: Any) -> bool:
    """Whether rows are a pandas or polars frame, whose columns have types of their own."""
    return isinstance(X, (pl.DataFrame, pl.LazyFrame)) or is_pandas(X)


FEWEST = 2
"""Rows to fit: one teaches nothing of what differs."""


def feature_frame(estimator: Any, X: Any, *, names: Sequence[str] | None = None) -> pl.DataFrame:
    """Rows `[N, n_features]` as a polars frame, checked as scikit-learn checks them.

    Args:
        estimator: which is fitted to them, or was fitted to others like them.
        X: a pandas or polars frame, or an array of numbers in which NaN is missing.
        names: of the columns when the estimator was fitted; None where it is fitted now, which sets `n_features_in_`
            and, of frames whose columns have text for names, `feature_names_in_`.

    Raises:
        ValueError: another number of columns, other names or another order than in `fit`; no rows, or a single one to
            fit; infinite numbers.
        TypeError: a sparse matrix, values that are no numbers in an array.
    """
    reset = names is None
    fewest = FEWEST if reset else 1
    X = X.collect() if isinstance(X, pl.LazyFrame) else X
    if is_frame(X):
        frame = as_polars(X)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if len(frame) < fewest or not frame.width:  # told in scikit-learn's own words
            check_array(np.empty(frame.shape), ensure_min_samples=fewest, estimator=estimator)
    else:
        rules = {"dtype": [np.float64, np.float32], "ensure_all_finite": "allow-nan", "ensure_min_samples": fewest}
        frame = as_polars(validate_data(estimator, X, reset=reset, **rules))
        frame.columns = [f"x{i}" for i in range(frame.width)]
    if names is not None:
        frame.columns = list(names)
    return frame


def features_by_dtype(frame: pl.DataFrame) -> dict[str, Mapping[str, Any]]:
    """The features as the columns' types say, by name, as a config has them.

    Numbers are numeric, whatever they are called; truths boolean; times datetime; text and categories, of whatever,
    categorical; lists of text or whole numbers bags.

    Raises:
        UserError: columns of other types; all of them.
    """
    problems, found = Problems(), dict[str, Mapping[str, Any]]()
    for name, dtype in frame.schema.items():
        kind = _kind(dtype)
        if kind is None:
            problems.add(
                f"column {name!r} is {dtype}, which is no feature by its type; leave it out, make numbers or text of "
                "it, or say in `features` what it is"
            )
        else:
            found[name] = {"kind": kind}
    problems.raise_if_any()
    return found


def _kind(dtype: pl.DataType) -> str | None:
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_numeric() or dtype == pl.Null:
        return "numeric"
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return "datetime"
    if isinstance(dtype, _TEXT):
        return "categorical"
    inner = dtype.inner if isinstance(dtype, pl.List) else None
    return "bag" if isinstance(inner, _TEXT) or (isinstance(inner, pl.DataType) and inner.is_integer()) else None
