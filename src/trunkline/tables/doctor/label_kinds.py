"""From a label's values to the kind of task that it asks for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import polars as pl

from trunkline.tables.doctor.sentinels import sentinel_of, sentinel_text
from trunkline.tables.number_format import MARKS, recognise, whole_by_dots

CLASSES = 20
"""Whole numbers of up to this many values may be classes."""
SURE = 0.9
"""Share of the cells that must be numbers where the others are words."""
SPELLINGS = 6
"""Words that a remark names, at most."""
FEW_WORDS = 2
"""Different words that may stand among numbers."""
FEW = 7
"""Whole numbers of more values than this are amounts, if their frequencies rise to one peak and fall again."""
RIPPLE = 1.5
"""How much longer the way up and down over the frequencies may be than to the peak and back, for chance."""
MOSTLY = 0.5
"""Share of zeros from which a label is mostly nothing."""
SKEWED = 1.0
"""Skewness from which positive numbers are better looked at by their logarithm, if that halves it."""
YES = (
    "yes",
    "y",
    "true",
    "t",
    "1",
    "on",
    "ja",
    "si",
    "sí",
    "sì",
    "oui",
    "sim",
    "da",
    "tak",
    "hai",
    "positive",
    "pos",
    "+",
)
NO = ("no", "n", "false", "f", "0", "off", "nein", "non", "não", "nao", "nie", "net", "negative", "neg", "-")
"""Words for 0."""
_RATING = re.compile(r"rating|stars?|score|grade|satisf|level|rank|likert", re.I)
_COUNT = re.compile(r"count|number|num|n_|_n$|visits?|clicks|views|times|how_many|requests|orders|quantity|qty", re.I)
_TEXT = (pl.String, pl.Categorical, pl.Enum)


@final
@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A kind of task for a label.

    Attributes:
        kind: of the task.
        options: of the task: `positive`, `missing`, …
        why: in a few words.
        remarks: what a person should look at.
        readings: likewise, and of any kind: how the values may be read otherwise.
    """

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    why: str
    remarks: Sequence[str] = ()
    readings: Sequence[str] = ()


def propose(label: pl.Series, *, comma_likely: bool = False) -> Proposal:
    """The kind of task that a label's values ask for.

    Args:
        label: `[N]`, the label's column, or an even sample of it.
        comma_likely: whether a decimal comma is to be expected in text.
    """
    known = label.drop_nulls()
    known = known.drop_nans() if known.dtype.is_float() else known
    if known.dtype == pl.Boolean:
        return Proposal(kind="binary", why="true or false")
    if isinstance(known.dtype, _TEXT):
        return _of_text(known.cast(pl.String), label.name, comma_likely)
    if known.dtype.is_numeric() and len(known):
        return _of_numbers(known.cast(pl.Float64), label.name, [])
    return Proposal(kind="multiclass", why="text")


def _of_text(cells: pl.Series, name: str, comma_likely: bool) -> Proposal:
    known = cells.str.strip_chars()
    marked = known.str.to_lowercase().is_in([*MARKS, ""])
    # A dash beside a plus, or a "no" word, is a value of its own and no mark.
    words = known.filter(~marked)
    values = words.unique(maintain_order=True).to_list()
    marks = known.filter(marked & (known != "")).unique(maintain_order=True).to_list()
    if len(values) == 1 and len(marks) == 1:
        words, values, marks = known, [*values, *marks], []
    missing = {"missing": marks} if marks else {}
    told = [f"read as missing: {', '.join(map(repr, marks))}"] if marks else []
    numbers = words.cast(pl.Float64, strict=False)
    dotted = bool(len(words)) and bool(pl.select(whole_by_dots(pl.lit(words))).item())
    if len(words) and not numbers.null_count() and not dotted:
        return _of_numbers(numbers, name, marks)
    if (written := _of_written_numbers(words, name, marks, comma_likely)) is not None:
        return written
    several = [one for one in spellings(cells.filter(~marked).unique(maintain_order=True).to_list()) if len(one) > 1]
    if several:
        shown = "; ".join(", ".join(map(repr, one[:SPELLINGS])) for one in several[:SPELLINGS])
        told.append(f"words that differ only in case or blanks: {shown}")
    spelt = spellings(values)
    if len(values) > 2 and len(spelt) == 2:
        return _of_two_words_spelt_in_ways(words, spelt, missing, told)
    if len(values) == 2:
        positive = next((one for one in values if one.lower() in YES), None)
        negative = next((one for one in values if one.lower() in NO), None)
        if positive is None and negative is not None:
            positive = next(one for one in values if one != negative)
        sure = positive is not None
        if positive is None:
            counts = words.value_counts(sort=True).to_series(0).to_list()
            positive = counts[-1]
        other = next(one for one in values if one != positive)
        doubt = [] if sure else [f"{positive!r} was taken for 1 since it is the rarer one"]
        return Proposal(
            kind="binary",
            options={"positive": positive, "negative": other, **missing},
            why=f"two words, {positive!r} and {other!r}",
            remarks=[*told, *doubt],
        )
    if several:
        one = several[0]
        such = ", ".join(f"{word!r}: {one[0].strip()!r}" for word in dict.fromkeys(map(str.strip, one)))
        told.append(f"each is a class of its own; to make one of several, give the task values: {{{such}}}")
    return Proposal(kind="multiclass", options=missing, why=f"{len(values)} different texts", remarks=told)


def spellings(values: Sequence[str]) -> list[list[str]]:
    """Words that differ in case or blanks only, together, in the order of their first."""
    found: dict[str, list[str]] = {}
    for value in values:
        found.setdefault(" ".join(value.split()).casefold(), []).append(value)
    return list(found.values())


def _of_two_words_spelt_in_ways(
    words: pl.Series, spelt: list[list[str]], missing: dict[str, Any], told: list[str]
) -> Proposal:
    """Of `Yes`, `yes`, `NO` and `No`: every spelling is named, so that a further one is refused and not guessed at."""
    counts = [int(words.is_in(one).sum()) for one in spelt]
    yes = [any(word.lower() in YES for word in one) for one in spelt]
    no = [any(word.lower() in NO for word in one) for one in spelt]
    sure = yes[0] != yes[1] or no[0] != no[1]
    positive = yes.index(True) if yes[0] != yes[1] else no.index(False) if sure else counts.index(min(counts))
    happened, other = spelt[positive], spelt[1 - positive]
    doubt = [] if sure else [f"{happened[0]!r} was taken for 1 since it is the rarer one"]
    return Proposal(
        kind="binary",
        options={"values": dict.fromkeys(happened, 1) | dict.fromkeys(other, 0), **missing},
        why=f"two words, {happened[0]!r} and {other[0]!r}, written in {len(happened) + len(other)} ways",
        remarks=[*told, *doubt],
    )


def _of_written_numbers(words: pl.Series, name: str, marks: list[str], comma_likely: bool) -> Proposal | None:
    """Of numbers as people write them, `1.234,50 €`; None where the words are others."""
    found = recognise(words, comma_likely=comma_likely)
    if found is None or found.share < SURE:
        return None
    numbers = found.format.parse(words)
    strangers = words.filter(numbers.is_null()).unique(maintain_order=True).to_list()
    known = numbers.drop_nulls()
    if len(strangers) > FEW_WORDS or known.n_unique() <= 2:
        return None
    form = {key: value for key, value in found.format.to_plain().items() if key != "missing"}
    proposed = _of_numbers(known, name, [*marks, *strangers])
    told = ", ".join(f"{key} {value!r}" for key, value in form.items())
    doubts = []
    if found.other is not None:
        other = ", ".join(f"{key} {value!r}" for key, value in found.other.to_plain().items()) or "a decimal point"
        doubts.append(f"its numbers could be read otherwise, too: {other}")
    if found.mixed:
        doubts.append(f"signs that may not mean the same: {', '.join(found.mixed)}")
    return replace(
        proposed,
        options={"format": form, **proposed.options} if form else proposed.options,
        why=f"{proposed.why}; numbers as text ({told})" if told else proposed.why,
        readings=doubts,
    )


def _of_numbers(known: pl.Series, name: str, marks: list[str]) -> Proposal:
    # What is infinite is refused when labels are read, as what is of another kind is.
    known = finite if len(finite := known.filter(known.is_finite())) else known
    if (stranger := sentinel_of(known)) is not None:
        found = _of_numbers(known.filter(known != stranger), name, [*marks, sentinel_text(stranger)])
        share = int((known == stranger).sum()) / len(known)
        told_of = (
            f"{sentinel_text(stranger)} ({share:.1%} of the rows) is far from all other values and is read as missing"
        )
        return replace(found, remarks=[*found.remarks, f"{told_of}; if it is a value, take it out of `missing`"])
    values = known.unique().sort().to_list()
    missing: dict[str, Any] = {"missing": marks} if marks else {}
    told = [f"read as missing: {', '.join(map(repr, marks))}"] if marks else []
    if set(values) <= {0.0, 1.0}:
        return Proposal(kind="binary", options=missing, why="0 or 1", remarks=told)
    if set(values) == {-1.0, 0.0, 1.0}:
        return Proposal(
            kind="binary",
            options={"missing": [*marks, "-1"]},
            why="0 or 1, and -1",
            remarks=[*told, "-1 is read as missing; if it is a class of its own, write kind: multiclass"],
        )
    whole = bool((known == known.floor()).all())
    if len(values) == 2:
        low, high = (f"{value:g}" for value in values)
        return Proposal(
            kind="binary",
            options={"positive": high, "negative": low, **missing},
            why=f"two numbers, {low} and {high}",
            remarks=[*told, f"{high} was taken for 1"],
        )
    array = known.to_numpy()
    zeros = float((array == 0).mean())
    if array.min() >= 0 and MOSTLY <= zeros < 1 and len(values) > 10 and (not whole or array.max() > 100):
        return Proposal(
            kind="zero_inflated_lognormal", options=missing, why=f"{zeros:.0%} zeros, the rest positive", remarks=told
        )
    if whole and array.min() >= 0:
        if _RATING.search(name) and len(values) <= 11 and array.max() <= 100:
            return Proposal(kind="ordinal", options=missing, why=f"a rating, {len(values)} levels", remarks=told)
        if _is_count(array, name, len(values)):
            mean, variance = float(array.mean()), float(array.var())
            kind = "negative_binomial" if variance > 1.5 * mean else "poisson"
            why = f"counts, mean {mean:.3g} and variance {variance:.3g}"
            return Proposal(kind=kind, options=missing, why=why, remarks=told)
    if whole and len(values) > FEW and _has_one_hump(array):
        return Proposal(
            kind="regression", options=missing, why=f"{len(values)} whole numbers in one hump, no classes", remarks=told
        )
    if whole and len(values) <= CLASSES:
        return Proposal(kind="multiclass", options=missing, why=f"{len(values)} whole numbers", remarks=told)
    if array.min() > 0 and not whole and _has_long_tail(array):
        return Proposal(kind="lognormal", options=missing, why="positive, with a long tail", remarks=told)
    if array.min() >= 0 and array.max() <= 1:
        told = [*told, "a share between 0 and 1: estimates may lie a little outside"]
    return Proposal(
        kind="regression", options=missing, why=f"{len(values)} whole numbers" if whole else "numbers", remarks=told
    )


def _is_count(array: np.ndarray, name: str, distinct: int) -> bool:
    """Whether whole numbers from 0 up are how often something happened: one hump and a tail, no gaps at its start."""
    if array.max() > 10_000 or distinct < 3:
        return False
    counts = np.bincount(array.astype(np.int64))
    mode = int(counts.argmax())
    if array.min() > 1 or mode > max(3.0, 1.5 * float(array.mean())):
        return bool(_COUNT.search(name)) and array.max() > CLASSES
    tail = counts[mode:]
    falls = np.diff(tail) <= 0
    tailed = counts[-1] < 0.25 * counts[mode] and float(array.mean()) < 0.6 * float(array.max())
    return tailed and (bool(_COUNT.search(name)) or (bool(falls.mean() > 0.7) and 0 in array))


def _has_one_hump(array: np.ndarray) -> bool:
    """Whether whole numbers close together are rare at both ends and frequent somewhere in between."""
    if array.max() - array.min() > 1000:
        return False
    counts = np.bincount((array - array.min()).astype(np.int64))
    peak = int(counts.max())
    up_and_down = int(np.abs(np.diff(counts, prepend=0, append=0)).sum())
    return max(counts[0], counts[-1]) < peak / 2 and up_and_down < RIPPLE * 2 * peak


def _has_long_tail(array: np.ndarray) -> bool:
    skewness = _skewness(array)
    return skewness > SKEWED and 2 * abs(_skewness(np.log(array))) < skewness


def _skewness(array: np.ndarray) -> float:
    spread = float(array.std())
    return float((((array - array.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
