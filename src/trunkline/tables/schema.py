"""What each feature column is, given or inferred."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, final, get_args

import polars as pl

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.nn.inputs import Pool
from trunkline.tables.rows import ROW

Kind = Literal["categorical", "hashed", "bag", "sequence", "numeric", "vector", "boolean", "datetime"]
DIM = 8
"""Width of an embedding unless told otherwise."""
LENGTH = 50
"""Elements of a sequence that are kept unless told otherwise."""
MOST_ROWS = 2**31 - 3
"""Ids are 32 bits wide, and two of them stand for missing and unseen."""
_OPTIONS: Mapping[Kind, Sequence[str]] = {
    "categorical": ("dim", "min_count"),
    "hashed": ("rows", "dim"),
    "bag": ("pool", "dim", "min_count", "rows"),
    "sequence": ("length", "pool", "target", "dim", "min_count", "rows"),
    "numeric": ("log",),
    "vector": ("length",),
    "boolean": (),
    "datetime": (),
}
_POOLS: Mapping[str, Sequence[Pool]] = {"bag": ("mean", "sum"), "sequence": ("mean", "attention")}


@final
@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature column. What is not given is None, or the default of the kind once the feature is made.

    Attributes:
        name: of the column.
        kind: categorical (a vocabulary of the training rows), hashed (any values, spread over `rows` rows), bag (lists
            of either), sequence (the latest elements of lists), numeric (standardised), vector (lists of numbers, all
            of one length, each component standardised), boolean, or datetime (hour, weekday and day of the year as
            cycles).
        dim: width of the embedding of a categorical, hashed, bag or sequence feature.
        min_count: a category or element seen less often in the training rows is treated as unseen.
        log: take sign(x)·log(1+|x|) of a numeric before standardising it: for amounts with a long tail.
        rows: of the table that a hashed feature's values, or a bag's or sequence's elements, are spread over.
        pool: how a bag (mean, sum) or a sequence (mean, attention) becomes one vector.
        length: how many of a sequence's last elements are kept; how long a vector is, learnt unless given.
        target: the categorical or hashed feature whose ids and embedding a sequence shares, and against which
            attention holds it.

    Raises:
        UserError: an unknown kind, an option that the kind does not have, one out of range; all of them.
    """

    name: str
    kind: Kind
    dim: int | None = None
    min_count: int | None = None
    log: bool = False
    rows: int | None = None
    pool: Pool | None = None
    length: int | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UserError(f"feature {self.name}: kind {self.kind!r}; it is one of {', '.join(get_args(Kind))}")
        problems, known = Problems(), _OPTIONS[self.kind]
        for field in fields(self)[2:]:
            if field.name not in known and getattr(self, field.name) != field.default:
                problems.add(
                    f"feature {self.name}: {field.name} is no option of kind {self.kind} "
                    f"(known: {', '.join(known) or 'none'})"
                )
        for option in ("dim", "min_count", "rows", "length"):
            value = getattr(self, option)
            if value is not None and value < 1:
                problems.add(f"feature {self.name}: {option} {value}; it must be at least 1")
        if self.rows is not None and self.rows > MOST_ROWS:
            problems.add(f"feature {self.name}: rows {self.rows}; it must be at most {MOST_ROWS}")
        if self.rows is not None and (self.min_count or 1) > 1:
            problems.add(f"feature {self.name}: min_count {self.min_count} with rows; a hash counts nothing, drop one")
        if self.kind == "hashed" and self.rows is None:
            problems.add(f"feature {self.name}: rows is missing; say how many rows its values are spread over")
        pools = _POOLS.get(self.kind, ())
        if pools and self.pool is not None and self.pool not in pools:
            problems.add(f"feature {self.name}: pool {self.pool!r}; for a {self.kind} it is one of {', '.join(pools)}")
        if self.pool == "attention" and self.kind == "sequence" and self.target is None:
            problems.add(f"feature {self.name}: pool attention needs target, the feature it is held against")
        problems.raise_if_any()
        for option, value in self._defaults().items():
            if getattr(self, option) is None:
                object.__setattr__(self, option, value)

    @property
    def options(self) -> dict[str, Any]:
        """The options of its kind that have a value, defaults included: what a config says beside the kind."""
        values = {option: getattr(self, option) for option in _OPTIONS[self.kind]}
        return {option: value for option, value in values.items() if value is not None}

    def _defaults(self) -> dict[str, Any]:
        known = _OPTIONS[self.kind]
        defaults: dict[str, Any] = {"dim": DIM, "min_count": 1} if self.target is None else {}
        defaults |= {"pool": "mean"} | ({"length": LENGTH} if self.kind == "sequence" else {})
        return {option: value for option, value in defaults.items() if option in known}


def check_features(features: Sequence[Feature]) -> None:
    """Check names, and that every target is there.

    Raises:
        UserError: a name twice; a target that is no categorical or hashed feature, or whose dim, rows or min_count a
            sequence contradicts; all of them.
    """
    problems = Problems()
    by_name = {feature.name: feature for feature in features}
    if len(by_name) < len(features):
        names = [feature.name for feature in features]
        for name in by_name:
            if names.count(name) > 1:
                problems.add(f"feature {name}: the name is used {names.count(name)} times")
    targets = [feature.name for feature in features if feature.kind in ("categorical", "hashed")]
    for feature in features:
        if feature.target is None:
            continue
        if feature.target not in targets:
            problems.add(
                f"feature {feature.name}: target {feature.target!r} is no categorical or hashed feature "
                f"(known: {', '.join(targets) or 'none'}){did_you_mean(feature.target, targets)}"
            )
            continue
        target = by_name[feature.target]
        for option in ("dim", "rows", "min_count"):
            given, held = getattr(feature, option), getattr(target, option)
            if given is not None and given != held:
                problems.add(
                    f"feature {feature.name}: {option} {given}, but it shares the table of {target.name}, "
                    f"{f'whose {option} is {held}' if held is not None else f'which has no {option}'}; drop it here"
                )
    problems.raise_if_any()


@final
class Inferrer:
    """Features from rows that arrive in chunks.

    Args:
        leave_out: columns that are no features: labels, weights, row keys.
    """

    def __init__(self, *, leave_out: Collection[str] = ()) -> None:
        self._left_out = {*leave_out, ROW}
        self._columns: dict[str, _Seen] = {}

    def see(self, frame: pl.DataFrame) -> None:
        """Look at some rows."""
        for series in frame:
            if series.name not in self._left_out:
                self._columns.setdefault(series.name, _Seen()).see(series)

    def done(self) -> list[Feature]:
        """A feature for every usable column, in the order of the columns."""
        kinds = {name: seen.kind(name) for name, seen in self._columns.items() if seen.varied}
        return [Feature(name=name, kind=kind) for name, kind in kinds.items() if kind is not None]


def infer(frame: pl.DataFrame, *, leave_out: Collection[str] = ()) -> list[Feature]:
    """A feature for every usable column of the training rows.

    Text is categorical, lists of text or whole numbers are bags; numbers are numeric, except whole numbers that look
    like ids (named `id`, `…_id`, `…Id`, or too large to be exact in float32); columns with one value or none, and
    other nested ones, are left out.

    Args:
        frame: training rows.
        leave_out: columns that are no features: labels, weights, row keys.
    """
    inferrer = Inferrer(leave_out=leave_out)
    inferrer.see(frame)
    return inferrer.done()


class _Seen:
    """What the chunks of one column have shown."""

    def __init__(self) -> None:
        self.dtype: pl.DataType = pl.Null()
        self.varied = False
        self.largest = 0
        self._first: pl.Series | None = None

    def see(self, series: pl.Series) -> None:
        if series.dtype != pl.Null:
            self.dtype = series.dtype
        if series.dtype.is_integer():
            ends = [int(end) for end in (series.min(), series.max()) if isinstance(end, int)]
            self.largest = max([self.largest, *map(abs, ends)])
        if self.varied or isinstance(series.dtype, pl.Struct) or series.dtype == pl.Object:
            return
        known = series.drop_nulls()
        if len(known):
            first = known.head(1) if self._first is None else self._first
            self._first = first
            self.varied = known.n_unique() > 1 or first.append(known.head(1)).n_unique() > 1

    def kind(self, name: str) -> Kind | None:
        dtype = self.dtype
        if dtype == pl.Boolean:
            return "boolean"
        if isinstance(dtype, (pl.Date, pl.Datetime)):
            return "datetime"
        if dtype.is_float() or dtype.is_decimal():
            return "numeric"
        if dtype.is_integer():
            named_id = name.lower() == "id" or name.lower().endswith("_id") or name.endswith(("Id", "ID"))
            return "categorical" if named_id or self.largest > 2**24 else "numeric"
        if isinstance(dtype, (pl.List, pl.Array)):
            inner = dtype.inner
            return "bag" if inner.is_integer() or isinstance(inner, _TEXT) else None
        return "categorical" if isinstance(dtype, _TEXT) else None


_TEXT = (pl.String, pl.Categorical, pl.Enum)
