"""What can be asked of a prediction: labels beside estimates, decisions, the best rows, files written differently."""

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trunkline import Model, fit
from trunkline.inference import stream


@pytest.fixture(scope="module")
def run(make_rows, tmp_path_factory):
    """The run folder of a model whose tasks are calibrated, joint, conditional, weighted and of classes."""
    folder = tmp_path_factory.mktemp("options") / "run"
    config = {
        "features": {"user": "categorical", "item": "categorical", "price": "numeric", "time": "datetime"},
        "tasks": {
            "click": {"kind": "binary", "calibrate": "temperature"},
            "buy": {"kind": "binary", "where": "click", "weight": "importance"},
            "secs": {"kind": "regression", "label": "dwell", "where": "click"},
            "topic": "multiclass",
        },
        "network": {"sharing": {"hidden": [6]}, "towers": {"hidden": []}},
        "optimizer": {"lr": 0.02},
        "training": {"epochs": 8, "batch_size": 100, "device": "cpu"},
    }
    fit(config, train=make_rows(400), valid=make_rows(200, seed=1), out=folder)
    return folder


@pytest.fixture
def rows(make_rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_rows(150, seed=5).with_row_index("number")
    made.write_parquet("rows.parquet")
    made.write_csv("rows.csv")
    return made


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_an_estimate_beside_its_truth(run, rows, trunkline, name):
    asked = [part for column in ("number", "click", "dwell", "topic") for part in ("--keep", column)]
    status, _, err = trunkline("predict", run, name, "-o", "out.parquet", *asked)
    assert (status, err) == (0, "")
    found = pl.read_parquet("out.parquet")
    assert found.columns[:5] == ["number", "label_click", "dwell", "label_topic", "click"]
    for column, written in {"number": "number", "click": "label_click", "topic": "label_topic"}.items():
        assert found[written].to_list() == rows[column].to_list()
    assert found["dwell"].to_list() == pytest.approx(rows["dwell"].to_list())
    assert trunkline("predict", run, name, "-o", "all.parquet", "--keep", "*")[0] == 0
    whole = pl.read_parquet("all.parquet")
    assert whole.columns[: rows.width] == [
        {"click": "label_click", "buy": "label_buy", "topic": "label_topic"}.get(c, c) for c in rows.columns
    ]
    assert_frame_equal(whole[:, rows.width :], found[:, 4:])


def test_decisions_are_written_told_and_kept(run, rows, trunkline):
    asked = ("--decide", "click=cost:5:1", "--decide", "buy=f1", "--keep", "click")
    status, out, err = trunkline("predict", run, "rows.parquet", "-o", "out.parquet", *asked)
    assert (status, err) == (0, "")
    told = json.loads(Path("out.decisions.json").read_text())
    assert list(told) == ["click", "buy"]
    found = pl.read_parquet("out.parquet")
    assert found.columns[:4] == ["label_click", "click", "click_decision", "buy"]
    for task, one in told.items():
        flags = (found[task].cast(pl.Float64) >= one["threshold"]).cast(pl.Int8)
        assert found[f"{task}_decision"].to_list() == flags.to_list()
        assert f"{task}_decision: 1 where {task} >= {one['threshold']:.6g} ({one['rule']}" in out
    assert told["click"]["cost"] is not None
    assert told["buy"]["labelled"] < told["click"]["labelled"] == told["click"]["rows"] == 200
    again = ("--decide", "click=cost:5:1", "--decide", f"buy=at:{told['buy']['threshold']!r}")
    assert trunkline("predict", run, "rows.csv", "-o", "again.csv", *again)[0] == 0
    assert json.loads(Path("again.decisions.json").read_text())["click"] == told["click"]
    assert pl.read_csv("again.csv")["buy_decision"].to_list() == found["buy_decision"].to_list()


def test_the_best_rows_of_a_stream(run, rows, trunkline, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK", 16)
    whole = pl.concat(Model.load(run).iter("rows.parquet", keep=["number", "buy"], decide={"click": "rate:0.2"}))
    expected = whole.sort("buy", descending=True, maintain_order=True).head(20)
    asked = ("--keep", "number", "--keep", "buy", "--decide", "click=rate:0.2", "--top", 20, "--by", "buy")
    status, out, _ = trunkline("predict", run, "rows.parquet", "-o", "out.parquet", *asked)
    assert (status, "20 rows, the largest buy of 150: out.parquet" in out) == (0, True)
    found = pl.read_parquet("out.parquet")
    assert_frame_equal(found, expected, check_exact=True)
    assert trunkline("predict", run, "rows.parquet", "-o", "all.csv", "--top", 1000, "--by", "topic_art")[0] == 0
    every = pl.read_csv("all.csv")
    assert len(every) == 150
    assert every["topic_art"].is_sorted(descending=True)


def test_what_was_done_as_json_and_in_silence(run, rows, trunkline):
    asked = ("--decide", "click=f1", "--top", 3, "--by", "secs")
    status, out, err = trunkline("predict", run, "rows.parquet", "-o", "out.csv", *asked, "--json")
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert (told["out"], told["rows"], told["seen"]) == ("out.csv", 3, 150)
    assert told["decisions"] == json.loads(Path("out.decisions.json").read_text())
    assert trunkline("predict", run, "rows.parquet", "-o", "out.csv", *asked, "--quiet", "--overwrite") == (0, "", "")


def test_what_is_unlike_in_the_rows_is_said_and_counted(run, rows, trunkline):
    odd = rows.with_columns(user=pl.lit("somebody [bold]new[/]"), price=pl.col("price") + 100)
    for name in ("odd.parquet", "odd.csv"):
        odd.write_parquet(name) if name.endswith("parquet") else odd.write_csv(name)
        status, out, err = trunkline("predict", run, name, "-o", "out.parquet", "--overwrite")
        assert (status, out) == (0, "150 rows: out.parquet\n")
        lines = err.splitlines()
        assert lines[0].strip() == "unlike the validation rows"
        assert {line.split()[0] for line in lines if "%" in line} == {"user", "price"}
        assert trunkline("predict", run, name, "-o", "out.parquet", "--overwrite", "--quiet") == (0, "", "")
        status, out, err = trunkline("predict", run, name, "-o", "out.parquet", "--overwrite", "--json")
        assert (status, err) == (0, "")
        told = json.loads(out)["input"]
        assert told["columns"]["user"] == {"rows": 150, "missing": 0, "ids": 150, "unseen": 150}
        assert told["columns"]["price"]["missing"] == rows["price"].null_count()
        assert {(one["column"], one["what"]) for one in told["remarks"]} >= {("user", "unseen"), ("price", "above")}


def refused(trunkline, tmp_path, words, *arguments):
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    status, out, err = trunkline(*arguments)
    assert (status, out) == (2, "")
    for word in words:
        assert word in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_is_refused(run, rows, trunkline, tmp_path):
    good = ("predict", run, "rows.parquet", "-o", "out.parquet")
    (tmp_path / "there.decisions.json").write_text("mine")
    rows.rename({"number": "label_click"}).write_parquet("taken.parquet")
    words = ["decide topic=f1", "decide click=f3", "--by secs", "--encoding 'none'"]
    asked = ("--decide", "topic=f1", "--decide", "click=f3", "--top", 5, "--encoding", "none")
    refused(
        trunkline,
        tmp_path,
        [words[0], words[1], "--top: rows can be ranked by click, buy, secs, topic", words[3]],
        *good,
        *asked,
    )
    refused(
        trunkline,
        tmp_path,
        ["write TASK=RULE", "click has a rule already"],
        *good,
        "--decide",
        "click",
        "--decide",
        "click=f1",
        "--decide",
        "click=f1",
    )
    refused(trunkline, tmp_path, ["--top 0: it must be at least 1"], *good, "--top", 0)
    refused(trunkline, tmp_path, ["--by click goes with --top"], *good, "--by", "click")
    refused(trunkline, tmp_path, ["classes have no order"], *good, "--top", 1, "--by", "topic")
    refused(
        trunkline,
        tmp_path,
        ["there.decisions.json exists", "--overwrite"],
        *good[:3],
        "-o",
        "there.csv",
        "--decide",
        "click=f1",
    )
    refused(
        trunkline, tmp_path, ["would be written as 'label_click'"], *good[:2], "taken.parquet", *good[3:], "--keep", "*"
    )


def test_a_run_without_validation_rows_has_no_threshold(make_rows, rows, trunkline, tmp_path):
    config = {
        "features": {"price": "numeric"},
        "tasks": {"click": "binary"},
        "training": {"epochs": 1, "batch_size": 100, "device": "cpu"},
    }
    fit(config, train=make_rows(100), out="plain")
    good = ("predict", "plain", "rows.parquet", "-o", "out.parquet")
    status, out, err = trunkline(*good, "--decide", "click=f1")
    assert (status, out) == (2, "")
    assert "the run kept no validation rows" in err
    assert "data.valid" in err
    assert trunkline(*good, "--decide", "click=at:0.5", "--top", 4)[0] == 0
    found = pl.read_parquet("out.parquet")
    assert len(found) == 4
    assert found["click_decision"].to_list() == (found["click"] >= 0.5).cast(pl.Int8).to_list()


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ({"separator": ";"}, ["--separator", ";"]),
        ({"separator": "\t"}, ["--separator", "\\t"]),
        ({"separator": "|"}, ["--separator", "auto"]),
        ({"encoding": "latin-1"}, ["--encoding", "latin-1", "--separator", ","]),
        ({"encoding": "utf-16"}, ["--encoding", "auto", "--separator", "auto"]),
    ],
)
def test_files_that_are_written_otherwise_than_the_trainings(make_rows, rows, trunkline, tmp_path, written, asked):
    train = make_rows(100).with_columns(user=pl.format("ü{}", "user"))
    train.select("user", "price", "click").write_csv("train.csv", separator=",")
    config = {
        "data": {"train": "train.csv", "separator": ",", "encoding": "utf-8", "store": "none"},
        "features": {"price": "numeric", "user": "categorical"},
        "tasks": {"click": "binary"},
        "training": {"epochs": 1, "batch_size": 100, "device": "cpu"},
    }
    model = fit(config, out="plain")
    text = train.select("user", "price").write_csv(separator=written.get("separator", ","))
    (tmp_path / "other.csv").write_bytes(text.encode(written.get("encoding", "utf-8")))
    status, _, err = trunkline("predict", "plain", "other.csv", "-o", "out.parquet", *asked)
    assert (status, err) == (0, "")
    assert_frame_equal(pl.read_parquet("out.parquet"), model(train), abs_tol=1e-6)


def test_a_program_gets_what_is_written_to_the_bit(run, rows, trunkline, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK", 40)
    asked = ("--keep", "click", "--decide", "buy=f1")
    assert trunkline("predict", run, "rows.csv", "-o", "out.parquet", *asked)[0] == 0
    batches = list(Model.load(run).iter("rows.csv", keep=["click"], decide={"buy": "f1"}))
    assert [len(batch) for batch in batches] == [40, 40, 40, 30]
    assert_frame_equal(pl.concat(batches), pl.read_parquet("out.parquet"), check_exact=True)
