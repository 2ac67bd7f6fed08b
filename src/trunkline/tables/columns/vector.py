"""Vector features, each component standardised."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.base import NumberColumn, NumberFeature, NumberFitter
from trunkline.tables.columns.indicator import write_indicator
from trunkline.tables.columns.lists import elements, refuse_list
from trunkline.tables.columns.moments import Moments
from trunkline.tables.columns.numeric import BLOCK, FAR
from trunkline.tables.rows import BadValue

HOLDS = "a vector column holds lists of finite numbers, all of one length"


@final
@dataclass(frozen=True, kw_only=True)
class VectorColumn(NumberColumn):
    """Each component standardised on the training rows; missing becomes the mean, with an indicator as for numbers.

    Attributes:
        mean: of each component over the training rows.
        std: likewise; 1 for a constant component.
        indicator: whether a further input says "missing".

    Raises:
        UserError: no component, not as many means as stds, or a std that is not above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    indicator: bool

    kind: ClassVar[str] = "vector"
    text: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std) or not min(self.std) > 0:
            raise UserError(f"{len(self.mean)} means and {len(self.std)} stds: as many, and each std above 0")

    @property
    def width(self) -> int:
        """One a component, and one for the indicator."""
        return len(self.mean) + self.indicator

    def encode(self, series: pl.Series, out: np.ndarray) -> None:
        """Write the rows over `out` `[width, N]` float32."""
        values, missing = _as_matrix(series, len(self.mean))
        with np.errstate(over="ignore"):
            scaled = (values - np.asarray(self.mean)) / np.asarray(self.std)
        np.clip(scaled, -FAR, FAR, out=scaled)
        components = out[: len(self.mean)].T
        if missing is None:
            components[:] = scaled
        else:
            components[missing] = 0.0
            components[~missing] = scaled
        if self.indicator:
            write_indicator(out, missing)


@final
@dataclass(frozen=True, kw_only=True)
class Vector(NumberFeature):
    """A list of numbers, all lists of one length, each component standardised.

    Attributes:
        length: numbers in each list; learnt from the training rows unless given.
    """

    length: int | None = None

    kind: ClassVar[str] = "vector"
    column: ClassVar[type[NumberColumn]] = VectorColumn

    def fitter(self) -> "VectorFitter":
        """See `NumberFeature`."""
        return VectorFitter(self)


@final
class VectorFitter(NumberFitter):
    """Length, mean and spread of the vectors of training rows.

    Args:
        feature: whose column it is.
    """

    def __init__(self, feature: Vector) -> None:
        self._name, self._length = feature.name, feature.length
        self._moments, self._indicator = Moments(), False

    def see(self, series: pl.Series) -> None:
        """Take in some rows."""
        for start in range(0, len(series), BLOCK):
            try:
                values, missing = _as_matrix(series.slice(start, BLOCK), self._length)
            except BadValue as error:
                error.index += start
                raise
            if len(values):
                self._length = values.shape[1]
            self._indicator |= missing is not None
            self._moments.add(values)

    def done(self) -> VectorColumn:
        """The column.

        Raises:
            UserError: no row told how long the vectors are; numbers too large to have a mean.
        """
        if not self._length:
            raise UserError(f"column {self._name!r} holds no vector; give its length, or leave it out")
        mean = np.broadcast_to(self._moments.mean, self._length).tolist()
        std = np.broadcast_to(self._moments.std, self._length).tolist()
        if not all(map(math.isfinite, mean)):
            raise UserError(f"column {self._name!r} holds numbers too large to average; mend the rows")
        std = [one if one > 0 and math.isfinite(one) else 1.0 for one in std]
        return VectorColumn(name=self._name, mean=tuple(mean), std=tuple(std), indicator=self._indicator)


def _as_matrix(series: pl.Series, length: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The vectors that are there, `[K, length]` float64, and where none is, `[N]` bool or None for nowhere."""
    values, lengths, missing = elements(series, holds=HOLDS)
    if not (values.dtype.is_numeric() or values.dtype == pl.Null):
        raise UserError(f"column {series.name!r} is {series.dtype}; {HOLDS}")
    there = lengths if missing is None else lengths[~missing]
    if length is None:
        length = int(there[0]) if len(there) else 0
    if (there != length).any():
        wrong = lengths != length if missing is None else (lengths != length) & ~missing
        row = int(wrong.argmax())
        refuse_list(series, row, f"that is {lengths[row]} numbers and not {length}; {HOLDS}")
    numbers = values.cast(pl.Float64).to_numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        finite = math.isfinite(numbers.sum()) or bool(np.isfinite(numbers).all())
    if not finite:
        row = int(np.searchsorted(lengths.cumsum(), (~np.isfinite(numbers)).argmax(), side="right"))
        refuse_list(series, row, HOLDS)
    return numbers.reshape(len(there), length), missing
