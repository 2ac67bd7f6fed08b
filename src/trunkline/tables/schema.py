"""Schema inference: which kind each feature column is."""

from collections.abc import Collection, Sequence
from typing import final

import polars as pl

from trunkline.errors import Problems, did_you_mean
from trunkline.tables.columns import Categorical, Feature, Hashed, make_feature
from trunkline.tables.columns import Sequence as SequenceFeature
from trunkline.tables.rows import ROW


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
    targets = [feature.name for feature in features if isinstance(feature, (Categorical, Hashed))]
    for feature in features:
        if not isinstance(feature, SequenceFeature) or feature.target is None:
            continue
        if feature.target not in targets:
            problems.add(
                f"feature {feature.name}: target {feature.target!r} is no categorical or hashed feature "
                f"(known: {', '.join(targets) or 'none'}){did_you_mean(feature.target, targets)}"
            )
            continue
        target = by_name[feature.target]
        for option in ("dim", "rows", "min_count"):
            given, held = getattr(feature, option), getattr(target, option, None)
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
        return [make_feature(name=name, kind=kind) for name, kind in kinds.items() if kind is not None]


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

    def kind(self, name: str) -> str | None:
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
