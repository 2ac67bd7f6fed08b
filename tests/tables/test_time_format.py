"""Moments as people and programs write them, held against Python's own reading."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import UserError
from trunkline.tables.rows import BadValue
from trunkline.tables.time_format import FORMATS, ISO, TimeFormat, read_times, recognise_times, unit_of

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2068, 1, 1))  # years of two digits turn near 2069


@settings(deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from(FORMATS))
def test_what_a_format_writes_it_reads(moments, form):
    plain = form.replace("%.f", ".%f")
    texts = [moment.strftime(plain) for moment in moments]
    expected = [datetime.strptime(text, plain) for text in texts]
    assert read_times(pl.Series("t", texts), form).to_list() == expected
    found = recognise_times(pl.Series("t", texts))
    assert any(read_times(pl.Series("t", texts), one).to_list() == expected for one in found.formats)


@settings(deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=20), st.integers(-14 * 60, 14 * 60), st.sampled_from("T "))
def test_iso_with_a_zone_is_the_moment_that_python_reads(moments, minutes, between):
    zone = timezone(timedelta(minutes=minutes))
    texts = [moment.replace(tzinfo=zone).isoformat(between) for moment in moments]
    expected = [datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None) for text in texts]
    assert read_times(pl.Series("t", texts), ISO).to_list() == expected
    assert list(recognise_times(pl.Series("t", texts)).formats) == [ISO]


@settings(deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from(["s", "ms", "us", "ns"]))
def test_numbers_since_1970(moments, unit):
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    whole = [moment.replace(microsecond=0) for moment in moments]
    numbers = [int(moment.replace(tzinfo=UTC).timestamp()) * per for moment in whole]
    for column in (pl.Series("t", numbers), pl.Series("t", list(map(str, numbers)))):
        assert TimeFormat(unit=unit).parse(column).to_list() == whole


def test_days_and_months_that_may_be_either_are_both_told():
    either = recognise_times(pl.Series("t", ["03/04/2024", "05/06/2024"]))
    assert list(either.formats) == ["%d/%m/%Y", "%m/%d/%Y"]
    assert list(recognise_times(pl.Series("t", ["03/04/2024", "25/06/2024"])).formats) == ["%d/%m/%Y"]
    assert list(recognise_times(pl.Series("t", ["03/03/2024", "06/06/2024"])).formats) == ["%d/%m/%Y"]  # all the same
    with pytest.raises(UserError, match=r"'03/04/2024' in row 1, which may be '%d/%m/%Y' or '%m/%d/%Y'"):
        TimeFormat().parse(pl.Series("t", ["03/04/2024", "05/06/2024"]))


def test_a_zone_says_what_a_clock_on_the_wall_means():
    texts = pl.Series("t", ["2024-07-01 12:00", "2024-01-01 12:00"])
    local = [datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")) for text in texts]
    expected = [moment.astimezone(UTC).replace(tzinfo=None) for moment in local]
    assert TimeFormat(zone="Europe/Berlin").parse(texts).to_list() == expected
    assert TimeFormat(zone="Europe/Berlin").parse(texts.str.to_datetime("%Y-%m-%d %H:%M")).to_list() == expected
    zoned = texts.str.to_datetime("%Y-%m-%d %H:%M").dt.replace_time_zone("America/New_York")
    assert TimeFormat(zone="Europe/Berlin").parse(zoned).to_list()[0] == datetime(2024, 7, 1, 16)


@pytest.mark.parametrize(
    ("options", "column", "words"),
    [
        ({"unit": "d"}, ["1"], "unit 'd'; it is one of"),
        ({"unit": "s", "format": "iso"}, ["1"], "numbers have a unit, text has a format"),
        ({"format": "dd/mm"}, ["1"], "is made of parts"),
        ({"zone": "Mars"}, ["1"], "zone 'Mars' is unknown"),
        ({}, [17], "give its unit"),
        ({}, [[1]], "a time is text or a date"),
    ],
)
def test_what_cannot_be_is_said(options, column, words):
    with pytest.raises(UserError, match=words):
        TimeFormat(**options).parse(pl.Series("t", column))


def test_the_row_that_is_no_moment_is_named():
    for options, cells in (
        ({}, ["2024-01-01", None, "2024-02-30"]),
        ({"format": "%d.%m.%Y"}, ["01.02.2024", None, "2024-01-01"]),
        ({"unit": "s"}, ["1700000000", None, "x"]),
        ({"unit": "s"}, [1.7e9, None, 1e300]),
    ):
        with pytest.raises(BadValue) as found:
            TimeFormat(**options).parse(pl.Series("t", cells))
        assert found.value.index == 2


def test_units_are_told_by_size():
    for unit, per in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        assert unit_of(pl.Series([1_500_000_000 * per, 1_700_000_000 * per])) == unit
    for numbers in ([1, 2, 3], [0, 1_700_000_000], [10**20], [None]):
        assert unit_of(pl.Series(numbers, dtype=pl.Float64)) is None
