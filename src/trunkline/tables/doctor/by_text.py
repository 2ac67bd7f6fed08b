"""From text to the kind of feature that it is written for: times, numbers, lists, codes, words."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from trunkline.tables.doctor.integers import take_integers
from trunkline.tables.doctor.joined import joined
from trunkline.tables.doctor.names import CODE, ID
from trunkline.tables.doctor.sentinels import or_sentinel
from trunkline.tables.doctor.sheet import Choice
from trunkline.tables.doctor.taken import FEW, Taken, once, with_missing
from trunkline.tables.number_format import MARKS, Recognised, recognise
from trunkline.tables.time_format import ISO, recognise_times

AS_WRITTEN = r"^\s*[+-]?(0\d+|\d{17,})\s*$"
"""Digits that are no number: `007` is not `7`, and a float holds no more than 16 of them."""
SURE = 0.9
"""Share of the cells that must be numbers where the others are a few words."""


def take_text(known: pl.Series, distinct: int, *, comma_likely: bool) -> Taken:
    """What a column of text is taken for.

    Args:
        known: `[N]` of type String, without nulls.
        distinct: different values among them.
        comma_likely: whether a decimal comma is to be expected.
    """
    name = known.name
    coded = bool(ID.search(name) or CODE.search(name)) or bool(known.str.contains(AS_WRITTEN).any())
    times = recognise_times(known)
    if times is not None and times.share == 1 and not coded:
        if len(times.formats) > 1:
            missing = {"missing": list(times.missing)} if times.missing else {}
            choices = [Choice(form, "datetime", {"format": form, **missing}) for form in times.formats]
            return Taken(
                None,
                f"dates that may be {' or '.join(times.formats)}: say which",
                choices=[Choice(what="left out", kind=None), *choices],
            )
        options = {} if times.formats[0] == ISO else {"format": times.formats[0]}
        why = "dates as text" + (f", {times.formats[0]}" if options else "")
        return with_missing(Taken("datetime", why, options), times.missing)
    found = None if coded else recognise(known, comma_likely=comma_likely)
    if found is not None and (taken := _take_numbers(found, known)) is not None:
        if set(found.format.to_plain()) <= {"missing"} and (whole := _whole(known)) is not None:
            return _as_whole(whole, taken, found.format.missing)
        return taken
    if (separator := joined(known)) is not None:
        how = "JSON lists" if separator == "json" else f"values joined by {separator!r}"
        choices = [
            Choice(what="a bag of its values", kind="bag", options={"separator": separator}),
            Choice(what="each combination a category", kind="categorical"),
        ]
        return Taken("bag", how, {"separator": separator}, choices=choices)
    if (taken := once(known, distinct, "text")) is not None:
        return taken
    letters: Any = known.str.len_chars().mean()
    if distinct > 0.5 * len(known) and len(known) >= FEW and (letters or 0) > 40:
        return Taken(
            "categorical",
            "text",
            remarks=["long texts that hardly repeat: there is little to learn of them as categories"],
        )
    return Taken("categorical", "a code" if coded and distinct > 2 else "text")


def _whole(known: pl.Series) -> pl.Series | None:
    """The texts as whole numbers, words for missing values left out; None where they are others."""
    cells = known.str.strip_chars()
    cells = cells.filter(~cells.str.to_lowercase().is_in(MARKS) & (cells != ""))
    whole = cells.cast(pl.Int64, strict=False)
    return None if whole.null_count() else whole


def _as_whole(whole: pl.Series, taken: Taken, missing: Sequence[str]) -> Taken:
    """What whole numbers are taken for that are text because of words for missing values among them.

    Args:
        whole: `[N]` int64.
        taken: as numbers.
        missing: the words.
    """
    found = take_integers(whole, whole, whole.n_unique(), None)
    if found.kind == "datetime":
        return with_missing(found, missing)
    if found.kind == "numeric":
        return taken
    choices = [
        choice if choice.kind != "numeric" else Choice(choice.what, taken.kind, taken.options)
        for choice in found.choices
    ]
    return replace(found, choices=choices)


def _take_numbers(found: Recognised | None, known: pl.Series) -> Taken | None:
    """A numeric column written as text; None where it is rather text."""
    if found is None or found.share < SURE or (found.strangers and len(found.strangers) > 2):
        return None
    numbers = found.format.parse(known).drop_nulls()
    form = found.format.to_plain()
    remarks = []
    if found.strangers:
        form["missing"] = [*form.get("missing", []), *found.strangers]
        remarks.append(f"read as missing: {', '.join(map(repr, found.strangers))}")
    if found.mixed:
        remarks.append(f"signs that may not mean the same: {', '.join(found.mixed)}")
    told = ", ".join(f"{key} {value!r}" for key, value in form.items() if key != "missing")
    why = (
        f"numbers as text{f' ({told})' if told else ''}, {found.share:.3g} of the cells"
        if found.share < 1
        else (f"numbers as text ({told})" if told else "numbers as text")
    )
    options = {"format": form} if form else {}
    choices: list[Choice] = []
    if found.other is not None:
        other = found.other.to_plain()
        choices = [
            Choice(what=f"{_said(form)}", kind="numeric", options=options),
            Choice(what=f"{_said(other)}", kind="numeric", options={"format": other} if other else {}),
        ]
    if found.mixed:
        choices = choices or [Choice(what="numbers, whatever the sign", kind="numeric", options=options)]
        choices.append(Choice(what="text", kind="categorical"))
    return or_sentinel(Taken("numeric", why, options, remarks, choices), numbers)


def _said(form: dict[str, Any]) -> str:
    point = "a decimal comma" if form.get("decimal") == "," else "a decimal point"
    return point + (f", {form['thousands']!r} between thousands" if form.get("thousands") else "")
