"""Numeric features, standardised."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.nn.inputs import Grid
from trunkline.tables.columns.base import NumberColumn, NumberFeature, NumberFitter
from trunkline.tables.columns.indicator import missing_in, write_indicator
from trunkline.tables.columns.moments import Moments
from trunkline.tables.columns.sample import Sample
from trunkline.tables.number_format import NumberFormat
from trunkline.tables.rows import BadValue, refuse_where

BLOCK = 1 << 16
"""Rows at a time: their numbers stay near the processor."""
FAR = 1e6
"""Standard deviations beyond which a numeric value is cut: float32 arithmetic would not survive it."""


@final
@dataclass(frozen=True, kw_only=True)
class NumericColumn(NumberColumn):
    """Standardised on the training rows; missing becomes the mean, with an indicator if training rows had any.

    Attributes:
        mean: over the training rows, after the logarithm if there is one.
        std: likewise; 1 for a constant column.
        log: sign(x)·log(1+|x|) comes first.
        indicator: whether a second input says "missing".
        quantiles: of the training rows in even steps from the least to the greatest, likewise after the logarithm, as
            `Sample.quantiles` gives them; empty where all are missing.
        format: how numbers are written where the column is text, as `NumberFormat.of` takes it; None for as computers
            write them.

    Raises:
        UserError: a std that is not above 0.
    """

    mean: float
    std: float
    log: bool
    indicator: bool
    quantiles: tuple[float, ...]
    format: dict[str, Any] | None = None

    kind: ClassVar[str] = "numeric"

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise UserError(f"std {self.std}: it must be above 0")
        if self.format is not None:
            NumberFormat.of(self.format)

    @property
    def width(self) -> int:
        """1, or 2 with the indicator."""
        return 1 + self.indicator

    @property
    def grids(self) -> tuple[Grid | None, ...]:
        """For each number the quantiles in its own units; None for the indicator."""
        grid = self._scale(np.asarray(self.quantiles))
        return (tuple(grid.tolist()) or None, None)[: self.width]

    def encode(self, series: pl.Series, out: np.ndarray) -> None:
        """Write the rows over `out` `[width, N]` float32."""
        values = _as_floats(series, log=self.log, form=_format(self.format))
        missing = missing_in(values, series)
        scaled = self._scale(values)
        if missing is not None:
            scaled[missing] = 0.0
        out[0] = scaled
        if self.indicator:
            write_indicator(out, missing)

    def _scale(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            scaled = (values - self.mean) / self.std
        return np.clip(scaled, -FAR, FAR, out=scaled)


@final
@dataclass(frozen=True, kw_only=True)
class Numeric(NumberFeature):
    """A number, standardised on the training rows.

    Attributes:
        log: take sign(x)·log(1+|x|) before standardising: for amounts with a long tail.
        format: how numbers are written where the column is text: `decimal` and `thousands` signs, signs to `strip`,
            words for `missing`.
    """

    log: bool = False
    format: dict[str, Any] | None = None

    kind: ClassVar[str] = "numeric"
    column: ClassVar[type[NumberColumn]] = NumericColumn

    def faults(self) -> Iterator[str]:
        """See `Feature`."""
        if self.format is not None:
            try:
                NumberFormat.of(self.format)
            except UserError as error:
                yield from error.problems

    @property
    def reads_text(self) -> bool:
        """Where a format says how numbers are written, `1.234` may not be what a computer would read."""
        return self.format is not None

    def fitter(self) -> "NumericFitter":
        """See `NumberFeature`."""
        return NumericFitter(self)


@final
class NumericFitter(NumberFitter):
    """Mean, spread and quantiles of training rows.

    Args:
        feature: whose column it is.
    """

    def __init__(self, feature: Numeric) -> None:
        self._feature, self._indicator = feature, False
        self._format = _format(feature.format)
        self._moments, self._sample = Moments(), Sample()

    def see(self, series: pl.Series) -> None:
        """Take in some rows."""
        marks = self._format is not None and self._format.marks
        if not self._feature.log and not marks and series.dtype.is_numeric():
            # One pass of polars each, nulls left out; what is infinite or NaN shows in the mean.
            numbers = series.cast(pl.Float64)
            count, mean = len(numbers) - numbers.null_count(), numbers.mean()
            if isinstance(mean, float) and math.isfinite(mean):
                self._indicator |= numbers.null_count() > 0
                self._moments.merge(count, mean, numbers.var(ddof=0))
                self._sample.add(numbers.drop_nulls() if numbers.null_count() else numbers)
                return
        for start in range(0, len(series), BLOCK):
            block = series.slice(start, BLOCK)
            try:
                values = _as_floats(block, log=self._feature.log, form=self._format)
                missing = missing_in(values, block)
            except BadValue as error:
                error.index += start
                raise
            if missing is not None:
                self._indicator = True
            values = values if missing is None else values[~missing]
            self._moments.add(values)
            self._sample.add(values)

    def done(self) -> NumericColumn:
        """The column.

        Raises:
            UserError: numbers too large to have a mean.
        """
        name, mean, std = self._feature.name, float(self._moments.mean), float(self._moments.std)
        if not math.isfinite(mean):
            raise UserError(f"column {name!r} holds numbers too large to average; give it log: true, or mend the rows")
        usable = std > 0 and math.isfinite(std)
        return NumericColumn(
            name=name,
            mean=mean,
            std=std if usable else 1.0,
            log=self._feature.log,
            indicator=self._indicator,
            quantiles=self._sample.quantiles(),
            format=self._feature.format,
        )


def _format(fields: dict[str, Any] | None) -> NumberFormat | None:
    return None if fields is None else NumberFormat.of(fields)


def _as_floats(series: pl.Series, *, log: bool, form: NumberFormat | None) -> np.ndarray:
    """`[N]` float64, NaN where missing."""
    rule = "a numeric column holds numbers (make it categorical, give its format, or mend the row)"
    if isinstance(series.dtype, (pl.String, pl.Categorical, pl.Enum)):
        text = series.cast(pl.String)
        series = _parsed(text, rule) if form is None else _formatted(text, form)
    elif not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise UserError(f"column {series.name!r} is {series.dtype}; {rule}")
    elif form is not None and form.marks:
        series = form.without_marks(series.cast(pl.Float64))
    values = (series if series.dtype == pl.Float64 else series.cast(pl.Float64)).to_numpy()
    return np.sign(values) * np.log1p(np.abs(values)) if log else values


def _formatted(text: pl.Series, form: NumberFormat) -> pl.Series:
    numbers = form.written(text)
    if numbers.null_count() > text.null_count():
        strange = numbers.is_null() & ~form.missing_in(text)
        told = ", ".join(f"{key}: {value!r}" for key, value in form.to_plain().items()) or "as computers write them"
        refuse_where(text, strange, f"its numbers are written so: {told} (widen the format, or mend the row)")
    return form.without_marks(numbers)


def _parsed(text: pl.Series, rule: str) -> pl.Series:
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() > text.null_count():
        words = text.str.strip_chars().str.to_lowercase()
        numbers = words.cast(pl.Float64, strict=False)
        truths = words.replace_strict({"true": 1.0, "false": 0.0}, default=None, return_dtype=pl.Float64)
        numbers = numbers.zip_with(numbers.is_not_null(), truths)
        refuse_where(text, numbers.is_null() & text.is_not_null(), rule)
    return numbers
