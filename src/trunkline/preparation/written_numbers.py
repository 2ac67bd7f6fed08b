"""Categories that are numbers as people write them: hardly meant, and said."""

import logging
from collections.abc import Sequence

import polars as pl

from trunkline.tables import Feature
from trunkline.tables.doctor.by_text import take_text

LOOKED_AT = 5000
"""Rows by which a column is judged."""
FEW = 20
"""Different values up to which numbers may well be categories: sizes, years, prices of three plans."""


def warn_of_written_numbers(features: Sequence[Feature], rows: pl.DataFrame, *, comma_likely: bool) -> None:
    """Warn of categorical features whose text reads as amounts: `$1,234.50`, `12.5 %`, `1,5`.

    Args:
        features: as the config has them.
        rows: some training rows.
        comma_likely: whether a decimal comma is to be expected.
    """
    for feature in features:
        if feature.kind != "categorical" or feature.name not in rows.columns:
            continue
        known = rows[feature.name].head(LOOKED_AT).drop_nulls()
        if known.dtype != pl.String or known.n_unique() <= FEW:
            continue
        taken = take_text(known, known.n_unique(), comma_likely=comma_likely)
        form = {key: value for key, value in taken.options.get("format", {}).items() if key != "missing"}
        if taken.kind == "numeric" and form:
            told = ", ".join(f"{key}: {value!r}" for key, value in form.items())
            logging.getLogger("trunkline").warning(
                "feature %s is categorical, and its values are numbers as people write them (%r): to read them so, "
                "features.%s: {kind: numeric, format: {%s}}",
                feature.name,
                known[0],
                feature.name,
                told,
            )
