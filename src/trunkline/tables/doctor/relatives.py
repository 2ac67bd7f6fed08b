"""Relatives of leaks: columns named like one that gives a label away, and perhaps known as late."""

from collections.abc import Sequence
from dataclasses import replace

from trunkline.tables.doctor.leaks import GIVES
from trunkline.tables.doctor.sheet import Choice, ColumnSheet

SHORTEST = 4
"""Letters of a name that says something."""
RELATED = "its name is like that of "


def mark_relatives(sheets: Sequence[ColumnSheet]) -> list[ColumnSheet]:
    """The sheets, with a question about columns whose name holds that of a leak, or is held by it.

    Args:
        sheets: after `mark_leaks`.
    """
    leaks = [sheet.name for sheet in sheets if sheet.kind is None and sheet.why.startswith(GIVES)]
    return [_marked(sheet, leaks) for sheet in sheets]


def is_relative(sheet: ColumnSheet) -> bool:
    """Whether that question was asked of it."""
    return any(remark.startswith(RELATED) for remark in sheet.remarks)


def _marked(sheet: ColumnSheet, leaks: Sequence[str]) -> ColumnSheet:
    akin = [leak for leak in leaks if sheet.kind is not None and _alike(sheet.name.lower(), leak.lower())]
    if not akin:
        return sheet
    told = f"{RELATED}{akin[0]}, which gives a label away: known only after the fact, too?"
    kept = Choice(what="keep it", kind=sheet.kind, options=dict(sheet.options))
    choices = sheet.choices or [kept, Choice(what="left out", kind=None)]
    return replace(sheet, remarks=[*sheet.remarks, told], choices=choices)


def _alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= SHORTEST and short in long
