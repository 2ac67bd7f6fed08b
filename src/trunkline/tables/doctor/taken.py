"""Decisions about a column: the kind that it is taken for, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import polars as pl

from trunkline.tables.doctor.sheet import Choice

FEW = 50
"""Rows below which nothing is concluded from values that do not repeat."""
ONE_VALUE, NO_VALUE = "one value in all rows", "no value in any row"
ONCE = "another one in every row"
ROW_NUMBERS, COPY = "row numbers", "a copy of "
TEXT = (pl.String, pl.Categorical, pl.Enum)


@final
@dataclass(frozen=True)
class Taken:
    """A decision: the kind (None: left out), its options, the reason, remarks, and other readings."""

    kind: str | None
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    choices: Sequence[Choice] = ()


def once(known: pl.Series, distinct: int, what: str) -> Taken | None:
    """Left out where each value stands in one row: nothing could be learnt of it but by heart."""
    if len(known) >= FEW and distinct == len(known):
        return Taken(None, f"{what}, {ONCE}")
    return None


def since_1970(unit: str) -> Taken:
    """Whole numbers that count from 1970 on."""
    words = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
    return Taken("datetime", f"{words[unit]} since 1970", {"unit": unit})


def with_missing(taken: Taken, words: Sequence[str]) -> Taken:
    """The same, where some cells say that they have no value."""
    if not words:
        return taken
    told = f"read as missing: {', '.join(map(repr, words))}"
    return replace(taken, options={**taken.options, "missing": [*words]}, remarks=[*taken.remarks, told])
