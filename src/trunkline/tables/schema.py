"""Schema inference: which kind each feature column is."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, final

import polars as pl

from trunkline.errors import Problems, did_you_mean
from trunkline.tables.columns import Categorical, Feature, Hashed, make_feature
from trunkline.tables.columns import Sequence as SequenceFeature
from trunkline.tables.doctor import ColumnSheet, TableSample, confirmed, examine
from trunkline.tables.doctor.columns import EXACT, ONE_VALUE
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
    """Features from rows that arrive in chunks, by an even sample of them; see `doctor.examine`.

    Args:
        leave_out: columns that are no features: labels, weights, row keys.
    """

    def __init__(self, *, leave_out: Collection[str] = ()) -> None:
        self._left_out = {*leave_out}
        self._sample = TableSample()
        self._facts: dict[str, _Facts] = {}

    def see(self, frame: pl.DataFrame) -> None:
        """Look at some rows."""
        columns = [name for name in frame.columns if name == ROW or name not in self._left_out]
        chunk = frame.select(columns)
        self._sample.add(chunk)
        for series in chunk:
            if series.name != ROW:
                self._facts.setdefault(series.name, _Facts()).see(series)

    def sheets(self) -> list[ColumnSheet]:
        """What each column is taken for."""
        if not self._facts:
            return []
        found = confirmed(examine(self._sample.frame, leave_out=self._left_out), self._sample.block)
        return [self._facts[sheet.name].widen(sheet) for sheet in found]

    def done(self) -> list[Feature]:
        """A feature for every usable column, in the order of the columns."""
        return features_of(self.sheets())


def features_of(sheets: Sequence[ColumnSheet]) -> list[Feature]:
    """The features that columns are taken for; those that are left out are none."""
    return [
        make_feature(name=sheet.name, kind=sheet.kind, **sheet.options) for sheet in sheets if sheet.kind is not None
    ]


def infer(frame: pl.DataFrame, *, leave_out: Collection[str] = ()) -> list[Feature]:
    """A feature for every usable column of the training rows.

    Text is categorical unless it reads as numbers or times, lists of text or whole numbers are bags; numbers are
    numeric, except times since 1970 and whole numbers that look like ids (named `id`, `…_id`, `…Id`, or too large to be
    exact in float32); columns with one value or none, row numbers, copies and other nested ones are left out.

    Args:
        frame: training rows.
        leave_out: columns that are no features: labels, weights, row keys.
    """
    inferrer = Inferrer(leave_out=leave_out)
    inferrer.see(frame)
    return inferrer.done()


class _Facts:
    """What all rows of one column have shown, beside the sample of them."""

    def __init__(self) -> None:
        self._varied, self._largest = False, 0
        self._first: pl.Series | None = None

    def see(self, series: pl.Series) -> None:
        if series.dtype.is_integer():
            ends: list[Any] = [series.min(), series.max()]
            self._largest = max([self._largest, *(abs(int(end)) for end in ends if end is not None)])
        if self._varied or isinstance(series.dtype, pl.Struct) or series.dtype == pl.Object:
            return
        known = series.drop_nulls()
        if len(known):
            first = known.head(1) if self._first is None or self._first.dtype != known.dtype else self._first
            self._first = first
            self._varied = known.n_unique() > 1 or first.append(known.head(1)).n_unique() > 1

    def widen(self, sheet: ColumnSheet) -> ColumnSheet:
        """The sheet, where rows outside the sample change what the column is."""
        if sheet.kind == "numeric" and self._largest > EXACT and not sheet.options:
            return replace(sheet, kind="categorical", why="whole numbers too large for a quantity")
        if sheet.kind is None and sheet.why == ONE_VALUE and self._varied:
            kind = {"Boolean": "boolean", "String": "categorical"}.get(sheet.dtype, "numeric")
            return replace(sheet, kind=kind, why="one value in nearly all rows")
        return sheet
