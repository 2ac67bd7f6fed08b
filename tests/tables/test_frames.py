"""Rows as people hold them in a program."""

import sys

import numpy as np
import polars as pl
import pytest

from trunkline.errors import UserError
from trunkline.tables import infer
from trunkline.tables.frames import as_polars, like

pd = pytest.importorskip("pandas")


def taken(values, **options):
    return as_polars(pd.DataFrame({"c": pd.Series(values, **options)}))["c"]


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        ([1, 2, 3], {}, pl.Series([1, 2, 3])),
        ([1, None, 3], {}, pl.Series([1.0, None, 3.0])),
        ([1, None, 3], {"dtype": "Int64"}, pl.Series([1, None, 3])),
        ([2**63, 2**64 - 1], {"dtype": "uint64"}, pl.Series([2**63, 2**64 - 1], dtype=pl.UInt64)),
        ([0.5, np.nan], {"dtype": "float32"}, pl.Series([0.5, None], dtype=pl.Float32)),
        (["a", None, "b"], {}, pl.Series(["a", None, "b"])),
        (["a", None, "b"], {"dtype": object}, pl.Series(["a", None, "b"])),
        (["a", None, "b"], {"dtype": "category"}, pl.Series(["a", None, "b"], dtype=pl.Categorical)),
        ([7, 8, 9, 7], {"dtype": "category"}, pl.Series(["7", "8", "9", "7"], dtype=pl.Categorical)),
        ([True, False], {}, pl.Series([True, False])),
        ([True, None], {"dtype": "boolean"}, pl.Series([True, None])),
        ([1, 2.5, None], {"dtype": object}, pl.Series([1.0, 2.5, None])),
        ([["a"], ["b", "c"]], {}, pl.Series([["a"], ["b", "c"]])),
        ([0, 0, 1], {"dtype": pd.SparseDtype("int64")}, pl.Series([0, 0, 1])),
    ],
)
def test_columns_of_pandas(values, options, expected):
    found = taken(values, **options)
    assert found.to_list() == expected.to_list()
    assert found.dtype == expected.dtype


def test_moments_of_pandas():
    days = pd.to_datetime(["2024-01-01 10:00", None, "2024-07-01 00:00"])
    assert taken(days).to_list() == [days[0].to_pydatetime(), None, days[2].to_pydatetime()]
    zoned = days.tz_localize("Europe/Berlin")
    assert taken(zoned).dt.convert_time_zone("UTC").dt.hour().to_list() == [9, None, 22]
    assert taken(pd.period_range("2024-01", periods=2, freq="M")).dt.month().to_list() == [1, 2]
    assert taken(pd.to_timedelta([1, 2], unit="s")).dt.total_seconds().to_list() == [1, 2]


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (
            [1, "a", 2],
            {"dtype": object},
            "column 'c' holds values of several types \\(number, str\\); give it one type",
        ),
        ([1 + 2j], {}, "column 'c' is complex128; write its real and imaginary parts"),
        (pd.interval_range(0, 2), {}, "column 'c' is interval.*; write the ends of its intervals"),
    ],
)
def test_what_no_column_holds_is_told_by_name_and_type(values, options, words):
    with pytest.raises(UserError, match=words):
        taken(values, **options)


def test_categories_of_whole_numbers_stay_categories():
    frame = as_polars(pd.DataFrame({"shop": pd.Series([3, 1, 3, 2] * 30, dtype="category")}))
    assert [feature.kind for feature in infer(frame)] == ["categorical"]


def test_all_that_is_wrong_comes_at_once_and_names_that_stand_twice():
    frame = pd.DataFrame({"a": [1j], "b": ["x"], "c": [2j]})
    with pytest.raises(UserError) as found:
        as_polars(frame)
    assert [problem[:10] for problem in found.value.problems] == ["column 'a'", "column 'c'"]
    with pytest.raises(UserError, match="stand twice: 'a'"):
        as_polars(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    assert as_polars(pd.DataFrame([[1, 2]], columns=[0, 1])).columns == ["0", "1"]


def test_columns_records_arrays_and_arrow():
    expected = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert as_polars({"a": [1, 2], "b": ["x", None]}).equals(expected)
    assert as_polars([{"a": 1, "b": "x"}, {"a": 2, "b": None}]).equals(expected)
    assert as_polars(expected.lazy()).equals(expected)
    assert as_polars(np.array([[1.0, np.nan], [3.0, 4.0]])).equals(pl.DataFrame({"0": [1.0, 3.0], "1": [None, 4.0]}))
    assert as_polars(expected.to_arrow()).equals(expected)
    for wrong, words in (
        ([], "not as list"),
        (3, "not as int"),
        (np.zeros(3), "two dimensions"),
        ({"a": [1], "b": [1, 2]}, "no table"),
    ):
        with pytest.raises(UserError, match=words):
            as_polars(wrong)


def test_estimates_come_back_with_the_index():
    made = pl.DataFrame({"click": [0.5, 0.25], "topic": ["a", None]})
    given = pd.DataFrame({"x": [1, 2]}, index=[7, 3])
    back = like(made, given)
    assert back.index.tolist() == [7, 3]
    assert back["click"].tolist() == [0.5, 0.25]
    assert like(made, {"x": [1, 2]}) is made


HABITS = {
    "a frame": lambda frame: frame,
    "its columns": lambda frame: {name: frame[name] for name in frame},
    "their arrays": lambda frame: {name: frame[name].array for name in frame},
    "its records": lambda frame: frame.to_dict("records"),
}


@pytest.mark.parametrize("habit", HABITS)
def test_pandas_in_any_form_needs_no_pyarrow(habit, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    frame = pd.DataFrame(
        {
            "text": pd.array(["a", None, "b"], dtype="string"),
            "count": pd.array([1, None, 3], dtype="Int64"),
            "flag": pd.array([True, None, False], dtype="boolean"),
            "x": [0.5, np.nan, 1.5],
            "day": pd.to_datetime(["2024-01-01", None, "2024-01-02"]),
        }
    )
    found = as_polars(HABITS[habit](frame))
    assert found.columns == list(frame)
    for name in frame:
        expected = [None if pd.isna(value) else value for value in frame[name].tolist()]
        assert found[name].to_list() == expected


def test_pandas_in_a_numpy_array_of_objects():
    frame = pd.DataFrame({"a": pd.array(["x", None], dtype="string"), "b": [1.0, np.nan]})
    assert as_polars(frame.to_numpy()).to_dict(as_series=False) == {"0": ["x", None], "1": [1.0, None]}


def test_what_needs_a_package_names_its_extra(monkeypatch):
    class Foreign:
        def __arrow_c_stream__(self, requested_schema=None):
            raise ImportError("Import pyarrow failed.")

    with pytest.raises(UserError, match=r"Foreign need a package .*pip install 'trunkline\[pandas\]'"):
        as_polars(Foreign())
    with pytest.raises(UserError, match="not as Series"):
        as_polars(pd.Series(["a"]))
