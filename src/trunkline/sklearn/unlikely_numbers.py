"""Whole numbers of a frame that are hardly quantities: ids, codes, moments."""

import warnings

import polars as pl

from trunkline.tables.doctor import examine
from trunkline.tables.doctor.taken import ONCE

LOOKED_AT = 100_000
"""Rows, evenly spread, by which a column is judged."""


def warn_of_unlikely_numbers(frame: pl.DataFrame) -> None:
    """Warn of columns whose type says number, and whose names or values say something else, as `init` reads them.

    Args:
        frame: the features as their user called them.
    """
    whole = frame.select([series.name for series in frame if series.dtype.is_integer()])
    sheets = examine(whole.gather_every(1 + len(whole) // LOOKED_AT)) if whole.width else []
    told = [
        f"{sheet.name!r} ({sheet.why})"
        for sheet in sheets
        if sheet.kind in ("categorical", "datetime") or sheet.why.endswith(ONCE)
    ]
    if told:
        warnings.warn(
            f"whole numbers that hardly are quantities are taken for such, by their type: {', '.join(told)}; make "
            "text, categories or times of them, or give features='auto' or a mapping",
            UserWarning,
            stacklevel=3,
        )
