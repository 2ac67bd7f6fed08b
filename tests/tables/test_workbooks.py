"""Sheets of workbooks read as what their cells are."""

import contextlib
import datetime as dt
import importlib.util

import numpy as np
import polars as pl
import pytest
import xlsxwriter
from polars.testing import assert_frame_equal

from trunkline import UserError
from trunkline.tables import ROW, read, scan
from trunkline.tables.doctor import examine
from trunkline.tables.fingerprint import fingerprint
from trunkline.tables.number_format import NumberFormat
from trunkline.tables.source import Files, find_files
from trunkline.tables.time_format import TimeFormat


def write(path, **sheets):
    """A workbook; a sheet is a list of rows of cells, `=…` a formula with its value behind `|`."""
    with xlsxwriter.Workbook(path) as book:
        formats = {
            dt.datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            dt.date: book.add_format({"num_format": "yyyy-mm-dd"}),
            dt.time: book.add_format({"num_format": "hh:mm"}),
        }
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for i, row in enumerate(rows):
                for j, cell in enumerate(row):
                    if isinstance(cell, str) and cell.startswith("="):
                        formula, _, value = cell.partition("|")
                        sheet.write_formula(i, j, formula, None, value if value.startswith("#") else float(value))
                    elif isinstance(cell, (dt.datetime, dt.date, dt.time)):
                        sheet.write_datetime(i, j, cell, formats[type(cell)])
                    elif cell is not None:
                        sheet.write(i, j, cell)
    return path


def plain(source, **options):
    return Files(str(source), **options).read().drop(ROW)


def test_every_sort_of_cell(tmp_path):
    day, moment = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 13, 5, 7)
    columns = {
        "whole": [1, -2, None, 2**40],
        "broken": [1.5, 2, None, 0.25],
        "huge": [1e20, 3, None, 1],
        "text": ["007", "a", None, "ü"],
        "truth": [True, False, None, True],
        "day": [day, day, None, dt.date(1950, 1, 1)],
        "moment": [moment, moment, None, dt.datetime(2024, 1, 1)],
        "clock": [dt.time(6), dt.time(23, 59), None, dt.time(12, 30)],
        "formula": ["=A2*2|2", "=A3*2|-4", None, "=1+1|2"],
        "error": [4, "=1/0|#DIV/0!", None, 5],
        "mixed": [1, "x", None, 2.5],
        "nothing": [None] * 4,
    }
    write(tmp_path / "a.xlsx", only=[list(columns), *zip(*columns.values(), strict=True)])
    found = plain(tmp_path / "a.xlsx")
    expected = pl.DataFrame(
        {
            "whole": columns["whole"],
            "broken": columns["broken"],
            "huge": pl.Series(columns["huge"], dtype=pl.Float64, strict=False),
            "text": columns["text"],
            "truth": columns["truth"],
            "day": columns["day"],
            "moment": pl.Series(columns["moment"], dtype=pl.Datetime("ms")),
            "clock": columns["clock"],
            "formula": [2, -4, None, 2],
            "error": [4, None, None, 5],
            "mixed": ["1", "x", None, "2.5"],
            "nothing": pl.Series([None] * 4, dtype=pl.String),
        },
        strict=False,
    )
    assert_frame_equal(found, expected)


@pytest.mark.parametrize("rows", [1, 7, 3_000])
def test_a_sheet_reads_as_the_frame_that_wrote_it(rows, tmp_path):
    draw = np.random.default_rng(rows)
    frame = pl.DataFrame(
        {
            "n": draw.integers(-5, 10**9, rows),
            "x": draw.normal(size=rows),
            "s": [f"v{i}" for i in draw.integers(0, 9, rows)],
            "b": draw.random(rows) < 0.5,
            "late": [None] * (rows - 1) + ["a text in the last row alone"],
        }
    )
    frame.write_excel(tmp_path / "a.xlsx", worksheet="rows")
    assert_frame_equal(plain(tmp_path / "a.xlsx"), frame)
    assert scan(tmp_path / "a.xlsx").collect()[ROW].to_list() == list(range(1, rows + 1))


@pytest.mark.parametrize("word", ["n/a", "N/A", "NULL", "null", "NaN", "nan", "None", "NA", "k.A.", "-"])
@pytest.mark.parametrize("kind", [int, float, bool])
def test_words_for_missing_among_values_are_words_as_in_a_csv(kind, word, tmp_path):
    values = [kind(i % 5 / 2) if i % 7 else None for i in range(40)]
    cells = [word if i == 11 else value for i, value in enumerate(values)]
    write(tmp_path / "a.xlsx", s=[["a", "b"], *([i, cell] for i, cell in enumerate(cells))])
    found = plain(tmp_path / "a.xlsx")
    assert found["b"][11] == word
    assert found["b"].null_count() == values.count(None)
    assert plain(tmp_path / "a.xlsx", types={"b": pl.String()}).equals(found)
    if kind is not bool:
        options = examine(found)[1].options
        assert options == {"format": {"missing": [word]}}
        numbers = NumberFormat.of(options["format"]).parse(found["b"]).to_list()
        assert numbers == [None if cell == word else cell for cell in cells]


def test_rows_below_the_last_and_columns_without_a_name(tmp_path):
    rows = [["x", None, "y"], [1, None, "a"], [None, None, None], [3, None, "b"], ["", None, None]]
    write(tmp_path / "a.xlsx", s=rows)
    assert plain(tmp_path / "a.xlsx").to_dict(as_series=False) == {"x": [1, None, 3], "y": ["a", None, "b"]}
    rows[1][1] = 5
    write(tmp_path / "a.xlsx", s=rows)
    with pytest.raises(
        UserError, match=r"a\.xlsx: the column behind 'x' has no name in the first row; write one there"
    ):
        plain(tmp_path / "a.xlsx")
    write(tmp_path / "a.xlsx", s=[row[1:] for row in rows])  # a column of an index, as pandas writes it
    assert plain(tmp_path / "a.xlsx").columns == ["", "y"]


@pytest.mark.parametrize("last", [2, 3])
def test_a_merged_header_is_refused(last, tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.merge_range(0, 1, 0, last, "both")
        sheet.write(0, 0, "x")
        sheet.write_row(1, 0, range(last + 1))
    with pytest.raises(UserError, match=r"the column behind 'both' has no name|2 columns have no name"):
        plain(tmp_path / "a.xlsx")


@pytest.mark.parametrize("seed", range(3))
def test_dates_beside_dates_in_text_are_dates(seed, tmp_path):
    draw = np.random.default_rng(seed)
    moments = [dt.datetime(2024, 1, 1) + dt.timedelta(minutes=int(one)) for one in draw.integers(0, 10**6, 40)]
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=int(one)) for one in draw.integers(0, 10**4, 40)]
    forms = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.000"]
    rows = [
        [
            moment.strftime(str(draw.choice(forms))) if draw.random() < 0.5 else moment,
            f" {day}" if draw.random() < 0.5 else day,
            str(moment),
        ]
        for moment, day in zip(moments, days, strict=True)
    ]
    rows[3][0] = rows[3][1] = None
    write(tmp_path / "a.xlsx", s=[["moment", "day", "text"], *rows])
    expected = {"moment": moments, "day": days, "text": [str(one) for one in moments]}
    expected["moment"][3] = expected["day"][3] = None
    found = plain(tmp_path / "a.xlsx")
    assert found.to_dict(as_series=False) == expected
    assert found.dtypes == [pl.Datetime("ms"), pl.Date, pl.String]


@pytest.mark.parametrize("cell", [45000, 0.5, "soon", "31.12.2024", "2024-02-31", True])
def test_dates_beside_what_is_none_are_refused(cell, tmp_path):
    day = dt.date(2024, 2, 29)
    write(tmp_path / "a.xlsx", s=[["x", "a", "b"], [1, day, day], [2, "2024-01-01", cell], [3, cell, None]])
    with pytest.raises(UserError) as found:
        plain(tmp_path / "a.xlsx")
    told = str(found.value)
    for name, row in (("a", 3), ("b", 2)):
        assert f"column {name!r} holds dates, and 1 other cells: {str(cell).lower()!r} in row {row}; give all" in told
    # As text it is what training read it as.
    text = plain(tmp_path / "a.xlsx", types={"a": pl.String(), "b": pl.String()})
    assert text["a"].to_list()[1:] == ["2024-01-01", str(cell).lower()]


@pytest.mark.parametrize("mark", ["n/a", "?", " NULL "])
def test_dates_beside_marks_of_missing_have_one_spelling(mark, tmp_path):
    days = [dt.date(2024, 1, 1 + i % 28) for i in range(60)]
    cells = [mark if i % 9 == 5 else str(day) if i % 2 else day for i, day in enumerate(days)]
    write(tmp_path / "a.xlsx", s=[["day"], *([cell] for cell in cells)])
    found = plain(tmp_path / "a.xlsx")["day"]
    marked = np.array([cell == mark for cell in cells])
    assert set(found.filter(pl.Series(marked))) == {mark.strip()}
    read = TimeFormat(format="iso", missing=(mark,)).parse(found)
    assert read.cast(pl.Date).to_list() == [None if one else day for one, day in zip(marked, days, strict=True)]
    assert found.n_unique() == len({day for one, day in zip(marked, days, strict=True) if not one}) + 1


def test_cells_of_unlike_sorts_are_named(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_column(0, 0, ["how long", "a"])
        sheet.write_number(2, 0, 1.5, book.add_format({"num_format": "[h]:mm:ss"}))
    with pytest.raises(UserError, match=r"column 'how long' holds cells of unlike sorts \(.*Duration.*\); give all"):
        plain(tmp_path / "a.xlsx")


def test_columns_are_text_where_training_read_text(tmp_path):
    write(tmp_path / "a.xlsx", s=[["code", "n", "f"], [7, 1, 1.5], [8, 2, 2]])
    found = plain(tmp_path / "a.xlsx", types={"code": pl.String(), "f": pl.String(), "gone": pl.String()})
    assert found.to_dict(as_series=False) == {"code": ["7", "8"], "n": [1, 2], "f": ["1.5", "2"]}


def test_a_sheet_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("a.xlsx", **{"January": [["x"], [1]], "a#b": [["x"], [2]]})
    assert plain("a.xlsx#January")["x"].to_list() == [1]
    assert plain("a.xlsx#a#b")["x"].to_list() == [2]
    with pytest.raises(UserError, match=r"a\.xlsx has the sheets 'January', 'a#b'; name one: a\.xlsx#January"):
        Files("a.xlsx")
    with pytest.raises(UserError, match="has no sheet 'Januar'; did you mean 'January'"):
        Files("a.xlsx#Januar")
    write("b.xlsx", January=[["x"], [3]])
    both = Files(["*.xlsx#January"])
    assert both.read()["x"].to_list() == [1, 3]
    assert both.name == "*.xlsx#January"
    with pytest.raises(UserError, match=r"b\.xlsx#January: column 'x' holds 3 in row 1; no"), both.naming():
        raise UserError("column 'x' holds 3 in row 2; no")
    assert {str(one) for one in find_files("*.xlsx#January")} == {"a.xlsx", "b.xlsx"}
    assert fingerprint(Files("a.xlsx#January").paths) != fingerprint(Files("a.xlsx#a#b").paths)
    with pytest.raises(UserError, match=r"file none\.xlsx does not exist"):
        Files("none.xlsx#a")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "is empty; a header row with the columns' names is needed"),
        ([["a", "b", "a"], [1, 2, 3]], "column 'a' stands more than once in the header"),
        ([["Sales of 2024", None, None], ["x", "y", "z"], [1, 2, 3]], "2 columns have no name in the first row"),
        ([["a", "b"]], "has no rows"),
    ],
)
def test_what_is_no_table_is_refused(rows, said, tmp_path):
    write(tmp_path / "a.xlsx", s=rows)
    with pytest.raises(UserError, match=said):
        read(str(tmp_path / "a.xlsx"))


def test_a_damaged_workbook_is_refused_in_words(tmp_path):
    whole = write(tmp_path / "a.xlsx", s=[["x", "y"], *([i, "v"] for i in range(50))]).read_bytes()
    draw = np.random.default_rng(0)
    for _ in range(150):
        cut = bytearray(whole[: draw.integers(0, len(whole) + 1)] if draw.random() < 0.3 else whole)
        for place in draw.integers(0, max(len(cut), 1), draw.integers(1, 6)) if cut else []:
            cut[place] = draw.integers(0, 256)
        (tmp_path / "b.xlsx").write_bytes(bytes(cut))
        with contextlib.suppress(UserError):
            read(str(tmp_path / "b.xlsx"))
    (tmp_path / "b.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"b\.xlsx cannot be read: "):
        read(str(tmp_path / "b.xlsx"))


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.xlsx", s=[["x"], [1]])
    find = importlib.util.find_spec
    monkeypatch.setattr("trunkline.tables.workbook.find_spec", lambda name: None if name == "fastexcel" else find(name))
    with pytest.raises(UserError, match=r"a\.xlsx: workbooks need fastexcel; pip install 'trunkline\[excel\]'"):
        Files(str(tmp_path / "a.xlsx"))


def test_reading_a_sheet_says_nothing(tmp_path, caplog):
    write(tmp_path / "a.xlsx", s=[["x", "empty"], [1, None]])
    read(str(tmp_path / "a.xlsx"))
    assert caplog.records == []
