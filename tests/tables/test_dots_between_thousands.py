"""Whole numbers with dots between thousands are not read in silence as fractions."""

import numpy as np
import polars as pl
import pytest

from trunkline.assembly.tasks import build_features
from trunkline.config import Config
from trunkline.preparation.data import prepare
from trunkline.tables import scanners
from trunkline.tables.doctor import examine, propose
from trunkline.tables.label_values import read_labels
from trunkline.tables.number_format import NumberFormat
from trunkline.tables.source import Files
from trunkline.tasks import TASK_KINDS, Regression

MOST = (5_000, 60_000, 4_000_000)


def dotted(value):
    return f"{value:,}".replace(",", ".")


def whole_numbers(most, rows=200, *, signed=False):
    draw = np.random.default_rng(most)
    values = (most ** draw.random(rows)).astype(int) * (draw.choice([-1, 1], rows) if signed else 1)
    return [*values.tolist(), 337, 1239]


def saved(path, texts, separator):
    path.write_text(
        "\n".join([f"c{separator}i", *(f"{text}{separator}{i % 7}" for i, text in enumerate(texts))]) + "\n"
    )
    return path


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("most", MOST)
@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_both_readings_are_seen_and_a_semicolon_decides(separator, most, signed, tmp_path):
    values = whole_numbers(most, signed=signed)
    frame = Files(saved(tmp_path / "rows.csv", map(dotted, values), separator), as_written=True).read()
    assert frame["c"].dtype == pl.String
    sheet = examine(frame, comma_likely=separator == ";")[0]
    readings = [sheet.options, *(choice.options for choice in sheet.choices)]
    parsed = [NumberFormat.of(one.get("format", {})).parse(frame["c"]).to_list() for one in readings]
    assert sheet.kind == "numeric"
    assert values in parsed
    assert sheet.doubtful or parsed[0] == values
    assert separator != ";" or parsed[0] == values
    found = propose(frame["c"], comma_likely=separator == ";")
    task = Regression(name="c", format=tuple(found.options.get("format", {}).items()))
    assert found.readings or read_labels(task, frame["c"]).to_list() == values
    assert separator != ";" or read_labels(task, frame["c"]).to_list() == values


FRACTIONS = {
    "all with three digits": lambda v: f"{v / 1000:.3f}",
    "as Python writes them": lambda v: repr(v / 1000),
    "two digits": lambda v: f"{v / 100:.2f}",
    "whole": str,
    "below one": lambda v: f"0.{v % 1000:03}",
}


@pytest.mark.parametrize("how", FRACTIONS)
def test_fractions_as_computers_write_them_stay_fractions(how, tmp_path):
    texts = [*map(FRACTIONS[how], range(900, 3000, 7))]
    path = saved(tmp_path / "rows.csv", texts, ";")
    frame = Files(path, as_written=True).read()
    assert frame.equals(Files(path).read())
    assert frame["c"].to_list() == [float(text) for text in texts]


@pytest.mark.parametrize("later", [["1.5"], ["1.239"]], ids=str)
def test_later_rows_count(later, tmp_path, monkeypatch):
    monkeypatch.setattr(scanners, "SAMPLE", 3)
    path = saved(tmp_path / "rows.csv", ["5", "337", "12", "40", *later], ";")
    dtype = Files(path, as_written=True).read()["c"].dtype
    assert dtype == (pl.String if later == ["1.239"] else pl.Float64)


def test_the_files_of_one_table_are_read_alike(tmp_path):
    saved(tmp_path / "a.csv", ["5", "337"], ";")
    saved(tmp_path / "b.csv", ["5", "1.230"], ";")
    files = Files([tmp_path / "a.csv", tmp_path / "b.csv"], as_written=True)
    assert files.read()["c"].to_list() == ["5", "337", "5", "1.230"]


@pytest.mark.parametrize(
    "features", ["auto", {"c": {"kind": "numeric"}, "i": {"kind": "categorical"}}], ids=["auto", "named"]
)
def test_auto_reads_as_init_says_and_a_config_that_says_numbers_as_before(features, tmp_path):
    values = whole_numbers(MOST[1])
    path = saved(tmp_path / "rows.csv", map(dotted, values), ";")
    text = path.read_text().splitlines()
    path.write_text("\n".join([f"{text[0]};y", *(f"{line};{i % 2}" for i, line in enumerate(text[1:]))]) + "\n")
    config = Config.make({"data": {"train": str(path)}, "features": features, "tasks": {"y": {"kind": "binary"}}})
    task = TASK_KINDS.make("binary", {}, name="y")
    found = prepare(config, [task], build_features(config), {})
    mean = {column.name: column for column in found.encoder.columns}["c"].mean
    meant = values if features == "auto" else [float(dotted(value)) for value in values]
    assert mean == pytest.approx(np.mean(meant), rel=1e-9)
