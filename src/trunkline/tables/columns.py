"""One feature column's way into numbers: fitted on training rows, saved as JSON, applied to any rows."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, Self, final

import numpy as np
import polars as pl

from trunkline.embedding import MISSING, UNSEEN
from trunkline.errors import UserError
from trunkline.tables.rows import refuse_where
from trunkline.tables.schema import Feature

MILLIS_A_DAY = 86_400_000
FAR = 1e6
"""Standard deviations beyond which a numeric value is cut: float32 arithmetic would not survive it."""


class NumberColumn(Protocol):
    """A column that becomes `width` float32 inputs."""

    kind: ClassVar[str]
    name: str

    @property
    def width(self) -> int:
        """Inputs this column gives."""
        ...

    def encode(self, series: pl.Series) -> np.ndarray:
        """`[N, width]` float32."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class CategoricalColumn:
    """A vocabulary of the training rows; row 0 stands for missing, row 1 for unseen, the rest for the values.

    Attributes:
        name: of the column.
        dim: width of the embedding.
        dtype: polars type in which values are compared; 64-bit ids stay whole.
        values: the vocabulary, most frequent first.
    """

    name: str
    dim: int
    dtype: str
    values: tuple[str | int | float, ...]

    kind: ClassVar[str] = "categorical"

    @classmethod
    def fit(cls, feature: Feature, series: pl.Series) -> Self:
        """The vocabulary of one column of training rows."""
        if series.dtype.is_float():
            rule = "categories are finite; leave the field empty where the value is missing"
            refuse_where(series, series.is_infinite().fill_null(False), rule)
        dtype = _vocabulary_dtype(series)
        known = _as_vocabulary(series, dtype).drop_nulls()
        counts = known.value_counts().filter(pl.col("count") >= feature.min_count)
        values = counts.sort(["count", known.name], descending=[True, False])[known.name].to_list()
        return cls(name=feature.name, dim=feature.dim, dtype=str(dtype), values=tuple(values))

    @property
    def rows(self) -> int:
        """Rows of the embedding table."""
        return len(self.values) + 2

    def encode(self, series: pl.Series) -> np.ndarray:
        """`[N]` int32: 0 where missing, 1 where unseen."""
        dtype = getattr(pl, self.dtype)
        values = _as_vocabulary(series, dtype)
        vocabulary = pl.Series(self.values, dtype=dtype)
        positions = pl.Series(np.arange(2, self.rows, dtype=np.int32))
        codes = values.replace_strict(vocabulary, positions, default=UNSEEN, return_dtype=pl.Int32)
        missing = series.is_null() | (series.is_nan() if series.dtype.is_float() else False)
        return codes.set(missing, MISSING).to_numpy()


@final
@dataclass(frozen=True, kw_only=True)
class NumericColumn:
    """Standardised on the training rows; missing becomes the mean, with an indicator if training rows had any.

    Attributes:
        name: of the column.
        mean: over the training rows, after the logarithm if there is one.
        std: likewise; 1 for a constant column.
        log: sign(x)·log(1+|x|) comes first.
        indicator: whether a second input says "missing".
    """

    name: str
    mean: float
    std: float
    log: bool
    indicator: bool

    kind: ClassVar[str] = "numeric"

    @classmethod
    def fit(cls, feature: Feature, series: pl.Series) -> Self:
        """Mean and spread of one column of training rows."""
        values = _as_floats(series, log=feature.log)
        known = values[~np.isnan(values)]
        std = float(known.std()) if len(known) else 0.0
        return cls(
            name=feature.name,
            mean=float(known.mean()) if len(known) else 0.0,
            std=std if std > 0 and math.isfinite(std) else 1.0,
            log=feature.log,
            indicator=len(known) < len(values),
        )

    @property
    def width(self) -> int:
        """1, or 2 with the indicator."""
        return 1 + self.indicator

    def encode(self, series: pl.Series) -> np.ndarray:
        """`[N, width]` float32."""
        values = np.clip((_as_floats(series, log=self.log) - self.mean) / self.std, -FAR, FAR)
        return _with_indicator(values[:, None], self.indicator)


@final
@dataclass(frozen=True, kw_only=True)
class BooleanColumn:
    """-1 for false, 1 for true, 0 for missing, with an indicator if training rows had any missing.

    Attributes:
        name: of the column.
        indicator: whether a second input says "missing".
    """

    name: str
    indicator: bool

    kind: ClassVar[str] = "boolean"

    @classmethod
    def fit(cls, feature: Feature, series: pl.Series) -> Self:
        """Whether any training row is missing."""
        return cls(name=feature.name, indicator=_as_booleans(series).null_count() > 0)

    @property
    def width(self) -> int:
        """1, or 2 with the indicator."""
        return 1 + self.indicator

    def encode(self, series: pl.Series) -> np.ndarray:
        """`[N, width]` float32."""
        values = _as_booleans(series).cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return _with_indicator(values[:, None] * 2 - 1, self.indicator)


@final
@dataclass(frozen=True, kw_only=True)
class DatetimeColumn:
    """Cycles of the day, the week and the year, as sine and cosine; only those that the training rows go through.

    Absolute time is left out on purpose: rows to predict lie after the training rows.

    Attributes:
        name: of the column.
        periods: lengths of the cycles in days: 1, 7 or 365.2425.
        indicator: whether an input says "missing".
    """

    name: str
    periods: tuple[float, ...]
    indicator: bool

    kind: ClassVar[str] = "datetime"

    @classmethod
    def fit(cls, feature: Feature, series: pl.Series) -> Self:
        """The cycles that one column of training rows goes through."""
        days = _as_days(series)
        known = days[~np.isnan(days)]
        span = float(np.ptp(known)) if len(known) else 0.0
        periods: tuple[float, ...] = (1.0,) if len(known) and bool((known % 1 != 0).any()) else ()
        periods += tuple(period for period in (7.0, 365.2425) if span >= period - 1)
        return cls(name=feature.name, periods=periods, indicator=len(known) < len(days))

    @property
    def width(self) -> int:
        """Two a cycle, and one for the indicator."""
        return 2 * len(self.periods) + self.indicator

    def encode(self, series: pl.Series) -> np.ndarray:
        """`[N, width]` float32."""
        days = _as_days(series)
        angles = 2 * np.pi * days[:, None] / np.asarray(self.periods)[None, :]
        return _with_indicator(np.hstack([np.sin(angles), np.cos(angles)]), self.indicator, missing=np.isnan(days))


Column = CategoricalColumn | NumericColumn | BooleanColumn | DatetimeColumn
COLUMNS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (CategoricalColumn, NumericColumn, BooleanColumn, DatetimeColumn)
}


def column_to_json(column: Column) -> dict[str, Any]:
    """Plain values from which `column_from_json` makes an equal column."""
    return {"kind": column.kind, **asdict(column)}


def column_from_json(fields: Mapping[str, Any]) -> Column:
    """The column that `column_to_json` wrote.

    Raises:
        UserError: an unknown kind or field.
    """
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }
    kind = COLUMNS.get(arguments.pop("kind", ""))
    try:
        if kind is None:
            raise TypeError(f"kind {fields.get('kind')!r} is none of {', '.join(COLUMNS)}")
        return kind(**arguments)
    except TypeError as error:
        raise UserError(f"the encoder's column {fields.get('name')!r} cannot be read: {error}") from error


def _vocabulary_dtype(series: pl.Series) -> pl.DataType:
    if series.dtype == pl.UInt64:
        return pl.UInt64()
    if series.dtype.is_integer():
        return pl.Int64()
    return pl.Float64() if series.dtype.is_float() else pl.String()


def _as_vocabulary(series: pl.Series, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    """Cast for comparison with a vocabulary; what cannot be cast is null here and unseen there."""
    if series.dtype.is_float():
        series = series.fill_nan(None)
        if dtype in (pl.Int64, pl.UInt64):
            series = series.set(series.floor() != series, None)
    elif series.dtype == pl.String and dtype in (pl.Int64, pl.UInt64):
        series = series.str.replace(r"\.0+$", "")  # a whole number that somebody's frame held as a float
    return series.cast(dtype, strict=False)


def _as_floats(series: pl.Series, *, log: bool) -> np.ndarray:
    rule = "a numeric column holds numbers (make it categorical, or mend the row)"
    if isinstance(series.dtype, (pl.String, pl.Categorical, pl.Enum)):
        text = series.cast(pl.String)
        numbers = text.str.strip_chars().cast(pl.Float64, strict=False)
        truths = text.str.strip_chars().str.to_lowercase().replace_strict({"true": 1.0, "false": 0.0}, default=None)
        numbers = numbers.zip_with(numbers.is_not_null(), truths.cast(pl.Float64))
        refuse_where(text, numbers.is_null() & text.is_not_null(), rule)
        series = numbers
    elif not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise UserError(f"column {series.name!r} is {series.dtype}; {rule}")
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    refuse_where(series, np.isinf(values), "numbers are finite; leave the field empty where the value is missing")
    return np.sign(values) * np.log1p(np.abs(values)) if log else values


def _as_booleans(series: pl.Series) -> pl.Series:
    if series.dtype == pl.String:
        words = dict.fromkeys(("true", "1", "1.0", "yes"), True) | dict.fromkeys(("false", "0", "0.0", "no"), False)
        result = (
            series.str.strip_chars().str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
        )
    elif series.dtype.is_numeric():
        series = series.cast(pl.Float64).fill_nan(None)
        result = series.replace_strict({0.0: False, 1.0: True}, default=None, return_dtype=pl.Boolean)
    elif series.dtype in (pl.Boolean, pl.Null):
        result = series.cast(pl.Boolean)
    else:
        raise UserError(f"column {series.name!r} is {series.dtype}; a boolean column holds true/false or 1/0")
    rule = "a boolean column holds true/false or 1/0 (make it categorical or numeric)"
    refuse_where(series, result.is_null() & series.is_not_null(), rule)
    return result


def _as_days(series: pl.Series) -> np.ndarray:
    if series.dtype == pl.String:
        try:
            parsed = series.str.to_datetime(strict=False, time_unit="ms")
        except pl.exceptions.ComputeError:  # not one value looks like a date
            parsed = pl.Series(series.name, [None] * len(series), dtype=pl.Datetime("ms"))
        refuse_where(series, parsed.is_null() & series.is_not_null(), "a datetime column holds dates or times")
        series = parsed
    elif not (isinstance(series.dtype, (pl.Date, pl.Datetime)) or series.dtype == pl.Null):
        raise UserError(f"column {series.name!r} is {series.dtype}; a datetime column holds dates or times")
    millis = series.cast(pl.Datetime("ms")).to_physical().cast(pl.Float64).fill_null(float("nan"))
    return millis.to_numpy() / MILLIS_A_DAY


def _with_indicator(values: np.ndarray, indicator: bool, *, missing: np.ndarray | None = None) -> np.ndarray:
    if missing is None:
        missing = np.isnan(values[:, 0])
    filled = np.where(missing[:, None], 0.0, values)
    return (np.hstack([filled, missing[:, None]]) if indicator else filled).astype(np.float32)
