"""Names of tasks: what they may hold, and what a column's name becomes."""

import unicodedata
from collections.abc import Collection


def is_task_name(name: str) -> bool:
    """Whether a task may have the name: letters and digits of any script, `_` and `-`, not `-` first."""
    return bool(name) and name[0] != "-" and all(map(_may_stand, name))


def task_name(column: str, taken: Collection[str] = ()) -> str:
    """A column's name as a task may have it, a letter or `_` first.

    Args:
        column: any name. What no name may hold becomes `_`, which is taken off at the end.
        taken: names of other tasks, from which it differs by a number at its end.
    """
    composed = unicodedata.normalize("NFC", column)
    name = "".join(sign if _may_stand(sign) else "_" for sign in composed)
    name = name if name and name == composed else name.rstrip("_") or "task"
    name = name if name[:1].isalpha() or name.startswith("_") else f"_{name}"
    number, own = 1, name
    while own in taken:
        number += 1
        own = f"{name}_{number}"
    return own


def _may_stand(sign: str) -> bool:
    # Marks are parts of letters in many scripts.
    return sign in "_-" or sign.isalnum() or unicodedata.category(sign).startswith("M")
