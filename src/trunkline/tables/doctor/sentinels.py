"""Sentinels: numbers such as -999 that stand for "missing"."""

import re
from dataclasses import replace

import polars as pl

from trunkline.tables.doctor.sheet import Choice
from trunkline.tables.doctor.taken import Taken

SHARE = 0.005
"""Of the rows that have a value, so many at least hold a sentinel."""
_NINES = re.compile(r"-1|-?9+(\.9+)?")


def sentinel_of(known: pl.Series) -> float | None:
    """The number that stands for "missing", if there is one: -1 or nines, farther from all others than they are apart.

    Args:
        known: `[N]` numeric, without nulls.
    """
    ends = (known.min(), known.max())
    for end in ends:
        if not isinstance(end, (int, float)) or not _NINES.fullmatch(f"{end:.12g}"):
            continue
        others = known.filter(known != end)
        low, high = others.min(), others.max()
        if not isinstance(low, (int, float)) or not isinstance(high, (int, float)) or low == high:
            continue
        gap = low - end if end < low else end - high
        if gap > high - low and len(known) - len(others) >= max(2, SHARE * len(known)):
            return float(end)
    return None


def sentinel_text(value: float) -> str:
    """As a config names it among `missing`."""
    return f"{value:.12g}"


def or_sentinel(taken: Taken, known: pl.Series) -> Taken:
    """The same numbers, with the reading in which their sentinel is missing as another choice.

    Args:
        taken: as numbers.
        known: `[N]` those numbers, without nulls.
    """
    value = sentinel_of(known) if len(known) else None
    if value is None:
        return taken
    word = sentinel_text(value)
    share = int((known == value).sum()) / len(known)
    form = dict(taken.options.get("format", {}))
    form["missing"] = [*form.get("missing", []), word]
    kept = list(taken.choices) or [Choice(f"{word} is a number", taken.kind, taken.options)]
    other = Choice(f"{word} is missing", taken.kind, {**taken.options, "format": form})
    told = f"{word} ({share:.1%} of the rows) is far from all other values"
    return replace(taken, remarks=[*taken.remarks, told], choices=[*kept, other])
