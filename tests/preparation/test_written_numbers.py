"""Categories that are amounts are said; codes, words and few sizes are not."""

import logging

import numpy as np
import polars as pl
import pytest

from trunkline import fit

ROWS = 300
DRAW = np.random.default_rng(0)
AMOUNTS = np.round(DRAW.lognormal(4, 1, ROWS), 2)
COLUMNS = {
    "dollars": ([f"${value:,.2f}" for value in AMOUNTS], "{kind: numeric, format: {thousands: ',', strip: '$'}}"),
    "percent": ([f"{value:.1f} %" for value in AMOUNTS], "{kind: numeric, format: {strip: '%'}}"),
    "comma": ([f"{value:.2f}".replace(".", ",") for value in AMOUNTS], "{kind: numeric, format: {decimal: ','}}"),
    "codes": ([f"{value:05}" for value in DRAW.integers(0, 900, ROWS)], None),
    "words": ([f"g{value}" for value in DRAW.integers(0, 90, ROWS)], None),
    "sizes": ([f"{value} cm" for value in DRAW.integers(36, 46, ROWS)], None),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_amounts_that_are_declared_categories_are_told_with_how_to_read_them(name, caplog):
    values, line = COLUMNS[name]
    rows = pl.DataFrame({"x": values, "y": DRAW.integers(0, 2, ROWS)})
    config = {"features": {"x": "categorical"}, "tasks": {"y": "binary"}, "training": {"epochs": 1, "batch_size": 16}}
    with caplog.at_level(logging.WARNING, logger="trunkline"):
        fit(config, train=rows, valid=rows, progress=False)
    told = [record.getMessage() for record in caplog.records if "numbers as people write them" in record.getMessage()]
    assert len(told) == (line is not None)
    assert line is None or told[0].endswith(f"features.x: {line}")
