"""Schema inference: which kind each feature column is."""

from collections.abc import Collection, Sequence
from typing import final

import polars as pl

from trunkline.errors import Problems, did_you_mean
from trunkline.tables.columns import Categorical, Feature, Hashed, make_feature
from trunkline.tables.columns import Sequence as SequenceFeature
from trunkline.tables.doctor import ColumnSheet, TableSample, confirmed, examine
from trunkline.tables.doctor.certain import Chunks, certain, repeating
from trunkline.tables.doctor.columns import sheet_of
from trunkline.tables.doctor.facts import Facts
from trunkline.tables.doctor.taken import ONCE
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
        comma_likely: whether a decimal comma is to be expected: fields are separated by semicolons.
    """

    def __init__(self, *, leave_out: Collection[str] = (), comma_likely: bool = False) -> None:
        self._left_out, self._comma = {*leave_out}, comma_likely
        self.sample = TableSample()
        """Some of the rows, those of all columns."""
        self._facts: dict[str, Facts] = {}

    def see(self, frame: pl.DataFrame) -> None:
        """Look at some rows."""
        self.sample.add(frame)
        for series in frame:
            if series.name != ROW and series.name not in self._left_out:
                self._facts.setdefault(series.name, Facts()).see(series)

    def sheets(self, chunks: Chunks | None = None) -> list[ColumnSheet]:
        """What each column is taken for.

        Args:
            chunks: of columns by their names, to go through all rows once more for what a sample cannot show; without
                it, that is left at what the sample shows.
        """
        if not self._facts:
            return []
        frame = self.sample.frame
        found = examine(frame, leave_out=self._left_out, comma_likely=self._comma)
        found = [self._facts[sheet.name].widen(sheet, comma_likely=self._comma) for sheet in found]
        found = confirmed(found, self.sample.block)
        if self.sample.whole or chunks is None:
            return found

        def again(sheet: ColumnSheet) -> ColumnSheet:
            if sheet.why.endswith(ONCE):
                return repeating(sheet)
            alone = sheet_of(frame[sheet.name], None, comma_likely=self._comma)
            return self._facts[sheet.name].widen(alone, comma_likely=self._comma)

        return certain(found, chunks, again)

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
    numbered = frame if ROW in frame.columns else frame.with_row_index(ROW, offset=1)
    return features_of(inferrer.sheets(lambda columns: iter([numbered.select(ROW, *columns)])))
