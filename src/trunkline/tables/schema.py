"""What each feature column is, given or inferred."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, final, get_args

import polars as pl

from trunkline.errors import UserError
from trunkline.tables.rows import ROW

Kind = Literal["categorical", "numeric", "boolean", "datetime"]
DIM = 8
"""Width of an embedding unless told otherwise."""


@final
@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature column.

    Attributes:
        name: of the column.
        kind: categorical (a vocabulary of the training rows), numeric (standardised), boolean, or datetime
            (hour, weekday and day of the year as cycles).
        dim: width of a categorical feature's embedding.
        min_count: a category seen in fewer training rows is treated as unseen.
        log: take sign(x)·log(1+|x|) of a numeric before standardising it: for amounts with a long tail.

    Raises:
        UserError: an unknown kind, or a dim or min_count below 1.
    """

    name: str
    kind: Kind
    dim: int = DIM
    min_count: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UserError(f"feature {self.name}: kind {self.kind!r}; it is one of {', '.join(get_args(Kind))}")
        if self.dim < 1 or self.min_count < 1:
            raise UserError(f"feature {self.name}: dim {self.dim}, min_count {self.min_count}; both must be at least 1")


def infer(frame: pl.DataFrame, *, leave_out: Collection[str] = ()) -> list[Feature]:
    """A feature for every usable column of the training rows.

    Text is categorical; numbers are numeric, except whole numbers that look like ids (named `id`, `…_id`, `…Id`, or
    too large to be exact in float32); columns with one value or none, and nested ones, are left out.

    Args:
        frame: training rows.
        leave_out: columns that are no features: labels, weights, row keys.
    """
    features = []
    for series in frame:
        if series.name not in (*leave_out, ROW) and series.drop_nulls().n_unique() > 1:
            kind = _kind(series)
            if kind is not None:
                features.append(Feature(name=series.name, kind=kind))
    return features


def _kind(series: pl.Series) -> Kind | None:
    dtype = series.dtype
    if dtype == pl.Boolean:
        return "boolean"
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return "datetime"
    if dtype.is_float() or dtype.is_decimal():
        return "numeric"
    if dtype.is_integer():
        name = series.name
        named_id = name.lower() == "id" or name.lower().endswith("_id") or name.endswith(("Id", "ID"))
        largest = max(abs(int(series.max() or 0)), abs(int(series.min() or 0)))  # type: ignore[arg-type]
        return "categorical" if named_id or largest > 2**24 else "numeric"
    return "categorical" if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)) else None
