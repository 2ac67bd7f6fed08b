import json
import os
import signal
import subprocess
import sys

import polars as pl
import pytest
import yaml

from trunkline import Model


def everything(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_init_train_evaluate_predict(folder, trunkline):
    status, out, _ = trunkline(
        "init", "train.csv", "--task", "click", "--task", "dwell:regression", "--task", "topic",
        "--valid", "valid.csv", "--test", "test.csv", "-o", "mine.yaml",
    )  # fmt: skip
    assert status == 0
    assert "mine.yaml" in out
    raw = yaml.safe_load((folder / "mine.yaml").read_text())
    assert {name: task["kind"] for name, task in raw["tasks"].items()} == {
        "click": "binary",
        "dwell": "regression",
        "topic": "multiclass",
    }
    kinds = {name: feature["kind"] for name, feature in raw["features"].items()}
    assert kinds == {
        "user": "categorical",
        "item": "categorical",
        "price": "numeric",
        "returning": "boolean",
        "time": "datetime",
        "buy": "numeric",
        "importance": "numeric",
    }
    sets = ["training.epochs=2", "training.batch_size=40", "network.sharing.hidden=[8]", "training.device=cpu"]
    status, out, err = trunkline("train", "mine.yaml", *(part for pair in sets for part in ("--set", pair)))
    assert status == 0
    run = folder / "runs" / "mine"
    assert "run: runs/mine" in out
    assert "epoch 1:" in err
    assert "epoch 2:" in err
    assert "120 training rows, 120 validation rows" in err
    assert yaml.safe_load((run / "config.yaml").read_text())["network"]["sharing"]["hidden"] == [8]

    status, out, _ = trunkline("evaluate", "runs/mine", "test.csv", "--json")
    assert status == 0
    metrics = json.loads((run / "metrics.json").read_text())
    found = json.loads(out)
    assert found.keys() == metrics["test"].keys()
    assert all(found[task] == pytest.approx(metrics["test"][task], abs=1e-5) for task in found)
    status, out, _ = trunkline("evaluate", "runs/mine", "test.csv", "valid.csv")
    assert status == 0
    assert all(task in out for task in found)

    status, out, _ = trunkline("predict", "runs/mine", "test.csv", "-o", "out.parquet", "--keep", "user")
    assert status == 0
    assert "120 rows: out.parquet" in out
    written = pl.read_parquet("out.parquet")
    assert written["user"].to_list() == pl.read_csv("test.csv")["user"].to_list()
    assert written["click"].to_numpy() == pytest.approx(
        Model.load(run)(pl.read_csv("test.csv", try_parse_dates=True))["click"].to_numpy(), abs=1e-6
    )


def test_quiet_says_nothing_but_errors(folder, trunkline):
    assert trunkline("train", "feed.yaml", "--quiet", "--out", "run") == (0, "", "")
    status, out, err = trunkline("train", "feed.yaml", "--quiet", "--out", "run")
    assert (status, out) == (2, "")
    assert "holds another run" in err


def test_nan_and_empty_fields_are_missing_values(folder, trunkline, edit):
    holes = pl.int_range(pl.len()) % 7 == 0
    edit(*(pl.when(holes).then(float("nan")).otherwise(pl.col(name)).alias(name) for name in ("price", "dwell")))
    assert "NaN" in (folder / "train.csv").read_text()
    status, _, err = trunkline("train", "feed.yaml", "--quiet", "--out", "run")
    assert (status, err) == (0, "")


LATER = pl.int_range(pl.len()) == 100
BAD_COLUMNS = {
    "a binary label of 2": ([pl.when(LATER).then(2).otherwise("click").alias("click")], ["'click' holds 2 in row 101"]),
    "text for a regression": (
        [pl.when(LATER).then(pl.lit("long")).otherwise(pl.col("dwell").cast(pl.String)).alias("dwell")],
        ["'dwell' holds 'long' in row 101", "numbers"],
    ),
    "a class that training lacks": (
        [pl.when(pl.col("topic") == "art").then(pl.lit("news")).otherwise("topic").alias("topic")],
        ["valid: valid.csv: task topic: column 'topic' holds 'art'", "test: test.csv: task topic"],
    ),
    "no observed label": ([pl.lit(None).alias("topic")], ["'topic' has no observed label"]),
    "a constant label": ([pl.lit(1).alias("buy")], ["'buy' is constant"]),
    "an infinite feature": (
        [pl.when(LATER).then(float("inf")).otherwise("price").alias("price")],
        ["'price' holds inf in row 101"],
    ),
    "an infinite label": (
        [pl.when(LATER).then(float("-inf")).otherwise("dwell").alias("dwell")],
        ["'dwell' holds -inf in row 101"],
    ),
    "text in a numeric column": (
        [pl.when(LATER).then(pl.lit("cheap")).otherwise(pl.col("price").cast(pl.String)).alias("price")],
        ["'price' holds 'cheap' in row 101"],
    ),
    "a negative weight": (
        [pl.when(LATER).then(-0.5).otherwise("importance").alias("importance")],
        ["'importance' holds -0.5 in row 101"],
    ),
    "several at once": (
        [pl.lit(3).alias("click"), pl.lit("x").alias("price"), pl.lit("y").alias("dwell")],
        ["'click' holds 3", "'price' holds 'x'", "'dwell' is String"],
    ),
}
BINARY = {"kind": "binary"}
BAD_CONFIGS = {
    "a missing file": (
        {"data": {"train": "absent.csv", "valid": "none*.csv"}},
        ["absent.csv does not exist", "no file matches none*.csv"],
    ),
    "a missing feature column": ({"features": {"prise": "numeric"}}, ["'prise' is not in the table", "'price'?"]),
    "a missing label column": ({"tasks": {"clicked": BINARY}}, ["'clicked' is not in the table", "'click'?"]),
    "a missing weight column": (
        {"tasks": {"click": {**BINARY, "weight": "importanse"}}},
        ["weight column 'importanse'", "'importance'?"],
    ),
    "unknown keys": (
        {"optimizer": {"lrr": 1}, "trainin": {}},
        ["unknown key 'lrr' in optimizer; did you mean 'lr'?", "unknown key 'trainin'", "did you mean 'training'?"],
    ),
    "a cycle in reads": (
        {"tasks": {"click": {**BINARY, "reads": ["buy"]}, "buy": {**BINARY, "reads": ["click"]}}},
        ["reads form a cycle: click -> buy -> click"],
    ),
    "where is no binary task": (
        {"tasks": {"dwell": "regression", "click": {**BINARY, "where": "dwell"}, "buy": {**BINARY, "where": "clik"}}},
        ["where 'dwell', which is not a binary task", "where 'clik', which is no task", "did you mean 'click'?"],
    ),
    "a subnet pattern that matches nothing": (
        {"optimizer": {"subnets": {"tower.clik": {"lr": 0.1}, "towr.*": {"lr": 0.1}}}},
        ["'tower.clik' matches none", "'towr.*' matches none", "did you mean 'tower.click'?"],
    ),
    "a subnet that these features do not have": (
        {"features": {"price": "numeric"}, "optimizer": {"subnets": {"embedding": {"lr": 0.1}}}},
        ["'embedding' matches none"],
    ),
    "a score that is none": ({"training": {"select": "click.r2"}}, ["'click.r2' is no score"]),
}


def refused(folder, trunkline, words):
    before = everything(folder)
    status, out, err = trunkline("train", "feed.yaml", "--out", "run")
    assert status == 2
    assert out == ""
    lines = err.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines)
    for word in words:
        assert sum(word in line for line in lines) >= 1, word
    assert not (folder / "run").exists()
    assert everything(folder) == before


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_bad_columns_end_with_status_2_and_nothing_written(folder, trunkline, edit, case):
    columns, words = BAD_COLUMNS[case]
    edit(*columns)
    refused(folder, trunkline, words)


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_bad_configs_end_with_status_2_and_nothing_written(folder, trunkline, edit, case):
    config, words = BAD_CONFIGS[case]
    edit(**config)
    refused(folder, trunkline, words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["train.csv is empty"]),
        ("price,click\n", ["train.csv has no rows"]),
        ("price,click,price\n1,0,2\n", ["'price' stands more than once"]),
    ],
)
def test_bad_files_end_with_status_2_and_nothing_written(folder, trunkline, content, words):
    (folder / "train.csv").write_text(content)
    refused(folder, trunkline, words)


@pytest.mark.parametrize("text", ["tasks: {click: binary", "tasks: !!python/name:os.system {}", "a: 1\na: 2", "", "[]"])
def test_bad_yaml_ends_with_status_2(folder, trunkline, text):
    (folder / "feed.yaml").write_text(text)
    refused(folder, trunkline, ["feed.yaml"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent.yaml"],
        ["feed.yaml", "--set", "optimizer.lr"],
        ["feed.yaml", "--sett"],
        [],
    ],
)
def test_bad_arguments_end_with_status_2(folder, trunkline, arguments):
    before = everything(folder)
    status, _, err = trunkline("train", *arguments)
    assert status == 2
    assert err
    assert everything(folder) == before


def test_another_run_is_not_touched_without_overwrite(folder, trunkline):
    assert trunkline("train", "feed.yaml", "--out", "run")[0] == 0
    before = everything(folder)
    status, _, err = trunkline("train", "feed.yaml", "--out", "run")
    assert status == 2
    assert "run holds another run" in err
    assert "--overwrite" in err
    assert everything(folder) == before
    assert trunkline("train", "feed.yaml", "--out", "run", "--overwrite", "--set", "training.epochs=1")[0] == 0
    assert json.loads((folder / "run" / "metrics.json").read_text())["epochs"] == 1


def test_resume_without_a_run(folder, trunkline):
    status, _, err = trunkline("train", "feed.yaml", "--out", "run", "--resume")
    assert status == 2
    assert "holds no checkpoint to resume" in err
    assert not (folder / "run").exists()


def test_an_exploding_training_ends_with_status_2(folder, trunkline):
    sets = ["optimizer.name=sgd", "optimizer.lr=1e30", "balance.objective=sum"]
    status, _, err = trunkline("train", "feed.yaml", "--out", "run", *(p for pair in sets for p in ("--set", pair)))
    assert status == 2
    assert "not a number" in err
    assert "the last good checkpoint is run/checkpoint/state.safetensors" in err


def test_ctrl_c_says_where_the_checkpoint_is_and_resume_finishes(folder, trunkline):
    command = [sys.executable, "-c", "from trunkline.cli import main; main()"]
    arguments = ["train", "feed.yaml", "--out", "run", "--set", "training.epochs=100000"]
    with subprocess.Popen(
        [*command, *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if line.startswith("epoch 1:"):
                    process.send_signal(signal.SIGINT)
                    break
            said += process.stderr.readlines()
            status = process.wait(timeout=60)
        finally:
            process.kill()
    text = "".join(said)
    assert status == 130, text
    assert "interrupted; the checkpoint is run/checkpoint" in text
    assert "trunkline train feed.yaml --out run --resume" in text
    assert "Traceback" not in text
    done = max(line["epoch"] for line in Model.load("run").history if "valid" in line) + 1
    status, out, _ = trunkline("train", "feed.yaml", "--out", "run", "--resume", "--set", f"training.epochs={done + 2}")
    assert status == 0
    assert "run: run" in out
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics["epochs"] == done + 2
    epochs = [line["epoch"] for line in Model.load("run").history if "valid" in line]
    assert epochs == list(range(done + 2))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.csv", "--task", "click"], ["absent.csv does not exist"]),
        (["train.csv", "--task", "clik", "--task", "dwell:regresion"], ["'click'?", "'regression'?"]),
        (["train.csv", "--task", "click", "-o", "feed.yaml"], ["feed.yaml exists", "--overwrite"]),
        (["train.csv", "--task", "click", "-o", "deep/feed.yaml"], ["folder deep does not exist"]),
        (["train.csv"], ["--task"]),
    ],
)
def test_init_refuses(folder, trunkline, arguments, words):
    before = everything(folder)
    status, _, err = trunkline("init", *arguments)
    assert status == 2
    for word in words:
        assert word in err
    assert everything(folder) == before


def test_init_writes_a_config_that_trains_on_one_table(folder, trunkline):
    assert trunkline("init", "train.csv", "--task", "click", "--task", "buy", "-o", "one.yaml")[0] == 0
    assert trunkline("init", "train.csv", "--task", "click", "-o", "one.yaml", "--overwrite")[0] == 0
    raw = yaml.safe_load((folder / "one.yaml").read_text())
    assert list(raw["tasks"]) == ["click"]
    assert raw["data"]["split"]["by"] == "time"
    status, out, err = trunkline("train", "one.yaml", "--quiet", "--set", "training.epochs=1", "--out", "run")
    assert (status, out, err) == (0, "", "")


def test_demo_trains_and_is_not_overwritten_unasked(folder, trunkline):
    status, out, _ = trunkline("demo", "show", "--rows", "1500")
    assert status == 0
    assert "run: show/run" in out
    assert out.rstrip().endswith("report: show/report.html")
    assert (folder / "show" / "report.html").stat().st_size < 6_000_000
    for task in ("click", "dwell", "purchase"):
        assert task in out
    before = everything(folder / "show")
    status, _, err = trunkline("demo", "show", "--rows", "1500")
    assert status == 2
    assert "holds another run" in err
    assert everything(folder / "show") == before


def test_an_unknown_command_and_an_unknown_data_set(folder, trunkline):
    assert trunkline("trian")[0] == 2
    status, _, err = trunkline("data", "census", "there")
    assert status == 2
    assert err
    assert not (folder / "there").exists()


def test_problems_of_config_and_files_come_together(tmp_path, trunkline):
    (tmp_path / "bad.yaml").write_text(
        "data: {train: nowhere.parquet}\n"
        "tasks: {click: binary, buy: {kind: binary, reads: [clik]}}\n"
        "optimizer: {subnets: {'twr.*': {lr: 1}}}\n"
        "training: {select: mean_acu}\n",
        encoding="utf-8",
    )
    status, _, said = trunkline("train", str(tmp_path / "bad.yaml"), "--out", str(tmp_path / "run"))

    assert status == 2
    for words in ("nowhere.parquet does not exist", "reads 'clik'", "'twr.*' matches none", "'mean_acu' is no score"):
        assert words in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("every", [1, 50])
def test_a_training_that_runs_off_ends_in_words_whatever_it_logs(every, folder, trunkline):
    sets = ["optimizer.name=sgd", "optimizer.lr=1000", f"training.log_every={every}"]
    words = [word for one in sets for word in ("--set", one)]
    status, _, err = trunkline("train", "feed.yaml", "--quiet", "--out", "run", *words)
    assert status in (0, 2)
    assert "Traceback" not in err
