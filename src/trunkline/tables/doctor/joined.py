"""Lists written into one cell of text: `a|b|c`, or as JSON."""

import polars as pl

from trunkline.tables.number_format import MARKS

SEPARATORS = ("|", ";", ",", " ")
"""Between the values of a cell, likeliest first."""
LEAST = 0.2
"""Share of the cells that hold several values."""
LONGEST = 10_000
"""Bytes of a cell."""
LOOK_AT = 5_000
"""Different cells that are looked at."""


def joined(known: pl.Series) -> str | None:
    """The separator of cells that hold several values of few kinds each, `json` of JSON lists; None of plain text.

    Args:
        known: `[N]` of type String without nulls.
    """
    cells = known.str.strip_chars().unique(maintain_order=True).head(LOOK_AT)
    if len(cells) < 4 or bool((cells.str.len_bytes() > LONGEST).any()):
        return None
    written = cells.filter(~cells.str.to_lowercase().is_in(MARKS))
    if len(written) and written.str.contains(r"^\[.*\]$").all() and _as_json(written) is not None:
        return "json"
    for separator in SEPARATORS:
        several = cells.filter(cells.str.contains(separator, literal=True))
        if len(several) < max(3, LEAST * len(cells)):
            continue
        values = cells.str.split(separator).explode(empty_as_null=False).str.strip_chars()
        # Sentences and names have about as many words as cells; tags come back in ever new combinations.
        if separator in (",", " ") and (values.str.contains(" ").any() or values.str.len_chars().max() > 24):  # type: ignore[operator]
            continue
        if 2 * values.n_unique() <= len(cells) and not (values == "").any():
            return separator
        if separator in ("|", ";") and values.n_unique() <= len(cells) and len(values) >= 2 * values.n_unique():
            return separator
    return None


def _as_json(cells: pl.Series) -> pl.Series | None:
    try:
        return cells.str.json_decode(pl.List(pl.String))
    except pl.exceptions.PolarsError:
        return None
