"""Input watch: rows to predict held against the rows that a run was trained and validated on."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import polars as pl

from trunkline.inference.column_counts import ColumnCounter, ColumnCounts
from trunkline.inference.fisher_exact import more_often
from trunkline.inference.input_profile import ColumnProfile, Profile
from trunkline.inference.population_stability import population_stability
from trunkline.tables import Encoder
from trunkline.tables.columns import NumericColumn
from trunkline.tables.encoder import Encoded

LEVEL = 1e-3
"""How probable it may be that rows like the run's lead to any remark about shares, over all columns."""
SHARE = 0.02
"""Of the rows: less changes little, however sure it is."""
MORE = 0.25
"""Of the share that is expected: it must be exceeded by so much of itself, since rows come in clusters."""
ALONE = 0.2
"""Share of unseen ids that is told where no validation rows say what to expect: new ones come every day."""
INDEX = 0.25
"""Population stability index from which on a shift is taken for a major one, by the convention of credit scoring."""
WORSE = 1.5
"""Times the index of the validation rows that it must exceed."""


@final
@dataclass(frozen=True, kw_only=True)
class Remark:
    """What is unlike in one column.

    Attributes:
        column: its name.
        what: `unseen`, `missing`, `below` or `above` the training rows' range, or `moved`.
        found: share in the rows to predict; of `moved` the population stability index against training.
        expected: the same of the validation rows; of the training rows where the run had no others.
        text: one line, for a person.
    """

    column: str
    what: str
    found: float
    expected: float
    text: str


@final
class InputWatch:
    """Counts what rows to predict hold, and says what is unlike the run's rows.

    Args:
        encoder: of the run.
        profile: of its rows; None of a run that kept none, of which nothing is said.
    """

    def __init__(self, encoder: Encoder, profile: Profile | None) -> None:
        self._encoder, self._profile = encoder, profile
        known = {} if profile is None else {name: one.range for name, one in profile.items() if one.range is not None}
        self._counter = ColumnCounter(encoder, known)

    def see(self, frame: pl.DataFrame, rows: Encoded) -> None:
        """Count further rows.

        Args:
            frame: as they were read.
            rows: encoded.
        """
        self._counter.see(rows, frame)

    @property
    def reference(self) -> str:
        """The part that the rows are held against: `validation`, or `training` where the run had no other."""
        held = self._profile is None or all(one.valid is not None for one in self._profile.values())
        return "validation" if held else "training"

    @property
    def counts(self) -> dict[str, ColumnCounts]:
        """Of each column in the rows so far."""
        return self._counter.counts

    def remarks(self) -> list[Remark]:
        """What is unlike, in the order of the columns; shares beyond noise and of some size, and numbers that moved."""
        if self._profile is None:
            return []
        found: list[Remark] = []
        level = LEVEL / (4 * max(len(self.counts), 1))
        for column in self._encoder.columns:
            counts, known = self.counts[column.name], self._profile[column.name]
            found += _shares(column.name, counts, known, level)
            if isinstance(column, NumericColumn) and known.range is not None:
                found += _numbers(column, counts, known, level)
        return found

    def to_json(self) -> dict[str, Any]:
        """Counts of unseen and missing values by column, and the remarks, in plain values."""
        shown = ("rows", "missing", "ids", "unseen")
        return {
            "columns": {name: {key: getattr(one, key) for key in shown} for name, one in self.counts.items()},
            "remarks": [asdict(one) for one in self.remarks()],
        }


def _shares(name: str, here: ColumnCounts, known: ColumnProfile, level: float) -> Iterator[Remark]:
    there = known.train if known.valid is None else known.valid
    least = ALONE if known.valid is None else SHARE  # training rows' own ids are not unseen
    if _beyond((here.unseen, here.ids), (there.unseen, there.ids), level, least=least):
        yield _remark(
            name, "unseen", (here.unseen, here.ids), (there.unseen, there.ids), "values that training did not have"
        )
    if _beyond((here.missing, here.rows), (there.missing, there.rows), level):
        yield _remark(name, "missing", (here.missing, here.rows), (there.missing, there.rows), "missing")


def _numbers(column: NumericColumn, here: ColumnCounts, known: ColumnProfile, level: float) -> Iterator[Remark]:
    there = known.train if known.valid is None else known.valid
    if known.range is None or not here.numbers:
        return
    ends = {
        "below": ("less than the least", known.range.least),
        "above": ("more than the greatest", known.range.greatest),
    }
    for what, (words, end) in ends.items():
        part, other = getattr(here, what), getattr(there, what)
        if _beyond((part, here.numbers), (other, there.numbers), level):
            told = f"{words} of training, {_in_units(column, end):.6g}"
            yield _remark(column.name, what, (part, here.numbers), (other, there.numbers), told)
    train = np.asarray(known.train.bins)
    index = population_stability(train, np.asarray(here.bins))
    before = 0.0 if known.valid is None else population_stability(train, np.asarray(known.valid.bins))
    if index > max(INDEX, WORSE * before):
        apart = here.total / here.numbers - known.train.total / max(known.train.numbers, 1)
        told = f"other values than in training (PSI); their mean is {apart:+.2g} standard deviations off"
        yield Remark(column=column.name, what="moved", found=index, expected=before, text=told)


def _beyond(here: tuple[int, int], there: tuple[int, int], level: float, *, least: float = SHARE) -> bool:
    """Whether a share is larger than another one by more than noise, and by some size."""
    if not here[1] or not there[1]:
        return False
    share, expected = here[0] / here[1], there[0] / there[1]
    return share - expected > max(least, MORE * expected) and more_often(*here, *there) < level


def _remark(name: str, what: str, here: tuple[int, int], there: tuple[int, int], text: str) -> Remark:
    return Remark(column=name, what=what, found=here[0] / here[1], expected=there[0] / there[1], text=text)


def _in_units(column: NumericColumn, standardized: float) -> float:
    """A standardised number in the column's own unit."""
    value = column.mean + column.std * standardized
    try:
        return math.copysign(math.expm1(abs(value)), value) if column.log else value
    except OverflowError:
        return math.copysign(math.inf, value)
