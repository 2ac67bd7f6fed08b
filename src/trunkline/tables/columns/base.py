"""Base classes of feature kinds: what a config says, what training rows teach, and what encodes any rows."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import polars as pl

from trunkline.errors import Problems
from trunkline.nn.inputs import Grid

DIM = 8
"""Width of an embedding unless told otherwise."""
MOST_ROWS = 2**31 - 3
"""Ids are 32 bits wide, and two of them stand for missing and unseen."""


@dataclass(frozen=True, kw_only=True)
class NumberColumn(ABC):
    """A fitted column that becomes `width` float32 numbers a row; its fields are what is kept of it, as JSON.

    A field `indicator` that is true says that the last number is 1 where a row has no value.

    Attributes:
        name: of the column.
    """

    name: str

    kind: ClassVar[str]
    text: ClassVar[bool] = True
    """Whether it takes text, so that a file of text is read without a guess at what its cells are."""
    zero_is_missing: ClassVar[bool] = False
    """Whether all numbers are 0 only in a row that has no value."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers a row."""

    @property
    def grids(self) -> tuple[Grid | None, ...]:
        """For each number the training rows' quantiles in its own units; None where it has none."""
        return (None,) * self.width

    @property
    def has_indicator(self) -> bool:
        """Whether the last number says "missing"."""
        return bool(getattr(self, "indicator", False))

    def components(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """What a person would look at: `[N]` each, by what follows the column's name, from `[N, width]`."""
        count = self.width - self.has_indicator
        return {f"[{i}]" if count > 1 else "": values[:, i] for i in range(count)}

    @abstractmethod
    def encode(self, series: pl.Series, out: np.ndarray) -> None:
        """Write the rows over `out` `[width, N]` float32; every number finite.

        Raises:
            BadValue: a value that such a column does not hold, with its row.
            UserError: a type that it does not hold.
        """


class NumberFitter(ABC):
    """Learns a column from training rows that arrive in chunks."""

    @abstractmethod
    def see(self, series: pl.Series) -> None:
        """Take in some rows.

        Raises:
            BadValue: a value that such a column does not hold, with its row.
            UserError: a type that it does not hold.
        """

    @abstractmethod
    def done(self) -> NumberColumn:
        """The column.

        Raises:
            UserError: rows from which there is nothing to learn.
        """


@dataclass(frozen=True, kw_only=True)
class Feature(ABC):
    """One feature column as a config names it; the fields beside the name are its options.

    Attributes:
        name: of the column.

    Raises:
        UserError: an option out of range; all of them.
    """

    name: str

    kind: ClassVar[str]
    column: ClassVar[type[Any]]
    """What its fitter makes, read back from JSON by its fields."""

    def __post_init__(self) -> None:
        problems = Problems()
        for option in ("dim", "min_count", "rows", "length"):
            value = getattr(self, option, None)
            if value is not None and value < 1:
                problems.add(f"feature {self.name}: {option} {value}; it must be at least 1")
        for problem in self.faults():
            problems.add(f"feature {self.name}: {problem}")
        problems.raise_if_any()

    def faults(self) -> Iterator[str]:
        """What is wrong with the options; nothing by default."""
        yield from ()

    @property
    def options(self) -> dict[str, Any]:
        """The options that have a value, defaults included: what a config says beside the kind."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}
        return {option: value for option, value in values.items() if value is not None}

    @property
    def reads_text(self) -> bool:
        """Whether a file of text is to hand over the column's cells as they are written."""
        return False

    def to_plain(self) -> dict[str, Any]:
        """Name, kind and options, from which `make_feature` makes an equal one."""
        return {"name": self.name, "kind": self.kind, **self.options}


@dataclass(frozen=True, kw_only=True)
class NumberFeature(Feature):
    """A feature that becomes numbers."""

    column: ClassVar[type[NumberColumn]]

    @abstractmethod
    def fitter(self) -> NumberFitter:
        """What learns its column from training rows."""


def faults_of_rows(rows: int | None, min_count: int | None = None) -> Iterator[str]:
    """What is wrong with the number of vectors that values are hashed over."""
    if rows is not None and rows > MOST_ROWS:
        yield f"rows {rows}; it must be at most {MOST_ROWS}"
    if rows is not None and (min_count or 1) > 1:
        yield f"min_count {min_count} with rows; a hash counts nothing, drop one"
