"""Every kind that becomes numbers, held to the published suite; the others have suites of their own."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from trunkline.tables import FEATURE_KINDS, NumberFeature, make_feature
from trunkline.testing import check_feature

START = datetime(2024, 2, 28, 23, 30)
ROWS = {
    "numeric": [
        ({}, pl.Series([3.5, -1.0, None, 1e9, 0.25, 7.0, 7.0, -30.0, None, 12.0])),
        ({"log": True}, pl.Series([0, 5, 12, 900, 10**12, -4, 3, 2, 2, 1])),
        ({}, pl.Series(["1", " 2.5", None, "1e3", "-7", "0", "4", "4", "true", "9"])),
    ],
    "vector": [
        ({}, pl.Series([[1.0, 2.0], [3.0, -1.0], None, [0.0, 0.0], [4.0, 9.5], [1.0, 1.0]])),
        ({"length": 1}, pl.Series([[1], [3], [5], [2]])),
    ],
    "boolean": [
        ({}, pl.Series([True, False, None, True, False, False])),
        ({}, pl.Series(["yes", "no", "1", "0", None, "TRUE"])),
    ],
    "datetime": [
        ({}, pl.Series([START + timedelta(hours=37 * i) for i in range(12)])),
        ({}, pl.Series([None, *(START + timedelta(days=40 * i) for i in range(12))])),
        ({}, pl.Series(["2024-02-29T12:00:00", "2024-03-30T01:30:00", None, "2023-01-01T00:00:00"])),
    ],
}


def test_every_kind_of_numbers_is_here():
    assert set(ROWS) == {name for name, kind in FEATURE_KINDS.items() if issubclass(kind, NumberFeature)}


@pytest.mark.parametrize(
    ("kind", "options", "rows"),
    [(kind, *case) for kind, cases in ROWS.items() for case in cases],
    ids=lambda v: str(v)[:9],
)
def test_the_contract(kind, options, rows):
    check_feature(lambda name: make_feature(name=name, kind=kind, **options), rows)
