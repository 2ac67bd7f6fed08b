import bz2
import gzip
import json

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trunkline import Model, fit
from trunkline.inference.stream import CHUNK
from trunkline.tables import ROW, read

READERS = {
    "parquet": pl.read_parquet,
    "csv": pl.read_csv,
    "ipc": pl.read_ipc,
    "arrow": pl.read_ipc,
    "feather": pl.read_ipc,
    "ndjson": pl.read_ndjson,
    "jsonl": pl.read_ndjson,
}


@pytest.fixture(scope="module")
def run(make_rows, tmp_path_factory):
    """The run folder of a model with a feature of every kind and a task of every kind."""
    folder = tmp_path_factory.mktemp("model") / "run"
    config = {
        "features": {
            "user": {"kind": "categorical", "dim": 3},
            "item": {"kind": "categorical", "dim": 3},
            "price": "numeric",
            "returning": "boolean",
            "time": "datetime",
        },
        "tasks": {"click": "binary", "dwell": {"kind": "regression", "where": "click"}, "topic": "multiclass"},
        "network": {"sharing": {"hidden": [6]}, "towers": {"hidden": []}},
        "training": {"epochs": 1, "batch_size": 100, "device": "cpu"},
    }
    fit(config, train=make_rows(300), valid=make_rows(100, seed=1), out=folder)
    return folder


@pytest.fixture
def table(make_rows, tmp_path, monkeypatch):
    """Rows to predict, with a number of their own and no label."""
    monkeypatch.chdir(tmp_path)
    rows = make_rows(90, seed=5).drop("click", "dwell", "buy", "topic")
    return rows.with_columns(number=pl.int_range(pl.len()) * 3, note=pl.format("note, {}", pl.int_range(pl.len())))


def close(found, expected):
    assert_frame_equal(found, expected, check_dtypes=False, abs_tol=1e-6, rel_tol=1e-5)


@pytest.mark.parametrize("ending", READERS)
def test_every_format_holds_the_same_rows(run, table, trunkline, ending):
    table.write_parquet("rows.parquet")
    status, out, err = trunkline(
        "predict", run, "rows.parquet", "-o", f"out.{ending}", "--keep", "number", "--keep", "note"
    )
    assert (status, err) == (0, "")
    assert f"90 rows: out.{ending}" in out
    found = READERS[ending](f"out.{ending}")
    expected = pl.concat([table.select("number", "note"), Model.load(run)(table)], how="horizontal")
    close(found, expected)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.bz2", "tsv", "parquet", "ipc", "ndjson"])
def test_the_format_of_the_rows_does_not_matter(run, table, trunkline, ending):
    name = f"rows.{ending}"
    if ending == "parquet":
        table.write_parquet(name)
    elif ending == "ipc":
        table.write_ipc(name)
    else:
        data = (
            table.write_ndjson()
            if ending == "ndjson"
            else table.write_csv(separator="\t" if "t" in ending[:1] else ",")
        )
        pack = {"gz": gzip.compress, "bz2": bz2.compress}.get(ending.rpartition(".")[2], bytes)
        with open(name, "wb") as file:
            file.write(pack(data.encode()))
    assert trunkline("predict", run, name, "-o", "out.parquet")[0] == 0
    close(pl.read_parquet("out.parquet"), Model.load(run)(table))


def test_several_files_keep_their_order_and_all_columns(run, table, trunkline):
    for i in range(4):
        table[i * 20 : i * 20 + (30 if i == 3 else 20)].write_csv(f"part{i}.csv")
    expected = Model.load(run)(table)
    status, _, err = trunkline("predict", run, "part*.csv", "-o", "glob.parquet", "--keep", "*")
    assert (status, err) == (0, "")
    found = pl.read_parquet("glob.parquet")
    assert found.columns == [*table.columns, *expected.columns]
    assert found["number"].to_list() == table["number"].to_list()
    close(found.select(table.columns).drop("time"), table.drop("time"))
    assert found.select("item", "returning").schema == table.select("item", "returning").schema
    close(found.select(expected.columns), expected)
    files = [f"part{i}.csv" for i in (2, 0)]
    assert trunkline("predict", run, *files, "-o", "some.csv", "--keep", "number", "--keep", "number")[0] == 0
    some = pl.read_csv("some.csv")
    assert some["number"].to_list() == [*table["number"][40:60], *table["number"][:20]]
    assert some.columns == ["number", *expected.columns]


@pytest.fixture(scope="module")
def long_table(make_rows):
    """More rows than one chunk takes."""
    rows = make_rows(100, seed=7).drop("click", "dwell", "buy", "topic")
    return pl.concat([rows] * 720).with_row_index("number")


def test_many_chunks_are_one_table(run, long_table, trunkline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(long_table) > CHUNK
    long_table.write_csv("rows.csv")
    assert trunkline("predict", run, "rows.csv", "-o", "out.parquet", "--keep", "number")[0] == 0
    found = pl.read_parquet("out.parquet")
    assert found["number"].to_list() == list(range(len(long_table)))
    once = Model.load(run)(long_table[:100])
    for column in ("click", "dwell", "topic_art"):
        by_copy = found[column].to_numpy().reshape(720, 100)
        np.testing.assert_allclose(by_copy, np.tile(once[column].to_numpy(), (720, 1)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ending", ["parquet", "csv", "ipc", "ndjson"])
def test_an_error_in_a_late_chunk_names_the_row_and_leaves_no_file(
    run, long_table, trunkline, tmp_path, monkeypatch, ending
):
    monkeypatch.chdir(tmp_path)
    bad = long_table.with_columns(
        price=pl.when(pl.col("number") == 70_123).then(pl.lit("cheap")).otherwise(pl.col("price").cast(pl.String))
    )
    bad.write_csv("rows.csv")
    status, out, err = trunkline("predict", run, "rows.csv", "-o", f"out.{ending}")
    assert (status, out) == (2, "")
    assert "error: rows.csv: column 'price' holds 'cheap' in row 70124" in err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def refused(trunkline, tmp_path, words, *arguments):
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    status, out, err = trunkline(*arguments)
    assert (status, out) == (2, "")
    for word in words:
        assert word in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_predict_refuses(run, table, trunkline, tmp_path):
    table.write_csv("rows.csv")
    table.head(0).write_csv("header.csv")
    table.head(0).write_parquet("none.parquet")
    table.drop("user").rename({"price": "prices"}).write_csv("lacking.csv")
    table.with_columns(click="number", label_click="note").write_csv("labelled.csv")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "there.parquet").write_text("mine")
    good = ("predict", run, "rows.csv", "-o", "out.parquet")
    refused(trunkline, tmp_path, ["there.parquet exists", "--overwrite"], *good[:3], "-o", "there.parquet")
    refused(trunkline, tmp_path, ["rows.csv is also the input"], *good[:3], "-o", "rows.csv", "--overwrite")
    refused(trunkline, tmp_path, ["ending .xlsx is unknown"], *good[:3], "-o", "out.xlsx")
    refused(trunkline, tmp_path, ["folder deep does not exist"], *good[:3], "-o", "deep/out.csv")
    refused(trunkline, tmp_path, ["absent.csv does not exist"], "predict", run, "absent.csv", *good[3:])
    refused(trunkline, tmp_path, ["is no run folder"], "predict", "norun", *good[2:])
    refused(trunkline, tmp_path, ["header.csv has no rows"], "predict", run, "header.csv", *good[3:])
    refused(trunkline, tmp_path, ["none.parquet has no rows"], "predict", run, "none.parquet", *good[3:])
    refused(trunkline, tmp_path, ["empty.csv is empty"], "predict", run, "empty.csv", *good[3:])
    refused(trunkline, tmp_path, ["'user' is not", "did you mean 'prices'?"], "predict", run, "lacking.csv", *good[3:])
    refused(trunkline, tmp_path, ["'nunber' to keep", "'number'?"], *good, "--keep", "nunber", "--keep", "user")
    refused(trunkline, tmp_path, ["'click' to keep"], "predict", run, "labelled.csv", *good[3:], "--keep", "*")
    assert trunkline(*good[:3], "-o", "there.parquet", "--overwrite")[0] == 0
    assert len(pl.read_parquet("there.parquet")) == 90


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_an_interrupted_prediction_leaves_no_file(run, long_table, trunkline, tmp_path, monkeypatch, calls):
    monkeypatch.chdir(tmp_path)
    long_table.write_parquet("rows.parquet")
    seen, estimates = [], Model._estimates

    def interrupted(model, encoded):
        seen.append(len(encoded.ids))
        if len(seen) == calls:
            raise KeyboardInterrupt
        return estimates(model, encoded)

    monkeypatch.setattr(Model, "_estimates", interrupted)
    status, out, _ = trunkline("predict", run, "rows.parquet", "-o", "out.parquet")
    assert (status, out) == (130, "")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_evaluate_needs_labels(run, table, trunkline, tmp_path):
    table.write_csv("rows.csv")
    refused(trunkline, tmp_path, ["label column 'click'", "label column 'topic'"], "evaluate", run, "rows.csv")


def test_evaluate_takes_several_files_and_scores_what_is_observed(run, make_rows, trunkline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = make_rows(100, seed=3)
    rows[:50].write_csv("a.csv")
    rows[50:].write_csv("b.csv")
    status, out, err = trunkline("evaluate", run, "a.csv", "b.csv", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["click"]["rows"] == 100
    assert found["topic"]["rows"] == rows["topic"].count()
    expected = Model.load(run).evaluate(rows)
    assert all(found[task] == pytest.approx(expected[task], abs=1e-6) for task in expected)


def test_rows_that_trained_can_be_predicted_from_the_same_file(trunkline, tmp_path, monkeypatch):
    """The types of a training CSV are inferred, and those to predict are read as text: both must mean the same."""
    monkeypatch.chdir(tmp_path)
    lines = [
        f"{i % 3}.0,{'1.0' if i % 2 else '0.0' if i % 5 else ''},{['', '7', '8', '9007199254740993'][i % 4]},"
        f"{i % 4 / 2},2024-0{1 + i % 3}-1{i % 9},2024-03-{10 + i % 9}T0{i % 9}:30:00,{['True', 'False', ''][i % 3]},"
        f"{['x', 'y', 'é', ''][i % 4]},{int(i % 3 == 0)}"
        for i in range(60)
    ]
    header = "shop,new,item,size,day,moment,seen,word,click"
    (tmp_path / "rows.csv").write_text("\n".join([header, *lines]) + "\n")
    features = {
        "shop": "categorical",
        "new": "boolean",
        "item": "categorical",
        "size": "numeric",
        "day": "datetime",
        "moment": "datetime",
        "seen": "boolean",
        "word": "categorical",
    }
    config = {
        "features": features,
        "tasks": {"click": "binary"},
        "network": {"sharing": {"hidden": [5]}},
        "training": {"epochs": 3, "batch_size": 20, "device": "cpu"},
    }
    model = fit(config, train=read("rows.csv"), out="run")
    assert trunkline("predict", "run", "rows.csv", "-o", "out.parquet")[0] == 0
    close(pl.read_parquet("out.parquet"), model(read("rows.csv")))
    read("rows.csv").drop(ROW).write_parquet("rows.parquet")
    assert trunkline("predict", "run", "rows.parquet", "-o", "out2.parquet")[0] == 0
    close(pl.read_parquet("out2.parquet"), pl.read_parquet("out.parquet"))
