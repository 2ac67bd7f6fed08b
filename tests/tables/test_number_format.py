"""Numbers as people write them, held against the numbers that were written."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import UserError
from trunkline.tables.number_format import MARKS, NumberFormat, recognise

FORMATS = st.builds(
    lambda pair, before, behind: (pair, before, behind),
    st.sampled_from(
        [(".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "\u00a0")]
    ),
    st.sampled_from(["", "$", "€ ", "EUR ", "£"]),
    st.sampled_from(["", "%", " €", " kr", " %"]),
)
NUMBERS = st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1, max_size=30)


def written(number, decimal, thousands, before="", behind=""):
    """As a spreadsheet would."""
    text = f"{abs(number):,.2f}".replace(",", "T").replace(".", decimal).replace("T", thousands)
    return f"{'-' if number < 0 else ''}{before}{text}{behind}"


@given(NUMBERS, FORMATS)
@settings(max_examples=200)
def test_what_is_written_so_is_read_so(numbers, form):
    (decimal, thousands), before, behind = form
    texts = pl.Series([written(number, decimal, thousands, before, behind) for number in numbers])
    strip = "".join(dict.fromkeys((before + behind).replace(" ", "")))
    known = NumberFormat(decimal=decimal, thousands=" " if thousands == "\u00a0" else thousands, strip=strip)
    assert known.parse(texts).to_list() == [float(number) for number in numbers]
    assert NumberFormat.of(known.to_plain()) == known


@given(NUMBERS, FORMATS)
@settings(max_examples=200)
def test_it_is_recognised_or_has_two_readings(numbers, form):
    (decimal, thousands), before, behind = form
    texts = pl.Series([written(number, decimal, thousands, before, behind) for number in numbers])
    found = recognise(texts)
    assert found.share == 1
    assert not found.strangers
    readings = [one.parse(texts).to_list() for one in (found.format, found.other) if one is not None]
    assert [float(number) for number in numbers] in readings


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_numbers_of_computers_are_read_to_the_bit(numbers):
    found = recognise(pl.Series(list(map(repr, numbers))))
    assert found.format.plain
    assert [math.copysign(1, a) * a for a in found.format.parse(pl.Series(list(map(repr, numbers)))).to_list()] == [
        math.copysign(1, a) * a for a in numbers
    ]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["(1,200.00)", "300", "($5)"], [-1200.0, 300.0, -5.0]),
        (["-$5", "$-3", "+$4", "$ 7"], [-5.0, -3.0, 4.0, 7.0]),
        ([" 3.5 ", "\u00a02", "7\t"], [3.5, 2.0, 7.0]),
        (["1e3", "2.5E-3"], [1000.0, 0.0025]),
        (["n/a", "3", "-", "5", ""], [None, 3.0, None, 5.0, None]),
        (["10kg", "20kg"], [10.0, 20.0]),
    ],
)
def test_signs_brackets_blanks_and_marks(cells, numbers):
    found = recognise(pl.Series(cells))
    assert found.format.parse(pl.Series(cells)).to_list() == numbers


@pytest.mark.parametrize(
    "cells",
    [
        ["a", "b"],
        ["2024-01-02", "2024-03-04"],
        ["1.2.3", "4.5.6"],
        ["10:30", "11:45"],
        ["A1", "B2"],
        [None, ""],
        ["NA"],
    ],
)
def test_what_is_no_number_is_left_alone(cells):
    assert recognise(pl.Series(cells, dtype=pl.String)) is None


def test_two_readings_are_told():
    found = recognise(pl.Series(["1,234", "5,678"]))
    assert (found.format.thousands, found.other.decimal) == (",", ",")
    found = recognise(pl.Series(["1,234", "5,678"]), comma_likely=True)
    assert (found.format.decimal, found.other.thousands) == (",", ",")
    assert recognise(pl.Series(["1,234", "0,678"])).other is None
    assert recognise(pl.Series(["1,234", "1,234,567"])).other is None
    assert recognise(pl.Series(["1.234", "5.678"])).format.plain


def test_signs_that_may_mean_different_things_are_told():
    assert set(recognise(pl.Series(["$5", "€7"])).mixed) == {"$", "€"}
    assert recognise(pl.Series(["5%", "0.3"])).mixed
    assert set(recognise(pl.Series(["5 km", "7 cm"])).mixed) == {"km", "cm"}
    assert not recognise(pl.Series(["$5", "$7", "9"])).mixed


def test_every_mark_is_a_mark():
    for mark in MARKS:
        found = recognise(pl.Series([mark.upper(), "1.5", "2"]))
        assert found.format.parse(pl.Series([mark, mark.upper(), "3"])).to_list() == [None, None, 3.0], mark


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"decimal": ";"}, "decimal ';'; it is '.' or ','"),
        ({"decimal": ",", "thousands": ","}, "not the decimal sign"),
        ({"strip": "5"}, "parts of numbers"),
        ({"decimals": ","}, "key 'decimals' is unknown"),
        ({"strip": 5}, "strip 5: it is text"),
        ("comma", "give its keys"),
    ],
)
def test_formats_that_cannot_be(fields, words):
    with pytest.raises(UserError, match=words):
        NumberFormat.of(fields)
