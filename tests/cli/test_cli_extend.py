import json

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from trunkline import Model

KEPT = ["click", "dwell", "dwell_sigma", "buy", "topic", "topic_art", "topic_news", "topic_sport"]


@pytest.fixture
def run(folder, trunkline):
    assert trunkline("train", "feed.yaml", "--quiet", "--out", "run")[0] == 0
    for part in ("train", "valid", "test"):
        frame = pl.read_csv(f"{part}.csv")
        frame.with_columns(liking=pl.col("price").fill_null(10) * 2).write_csv(f"{part}.csv")
    (folder / "more.yaml").write_text(yaml.safe_dump({"tasks": {"liking": {"kind": "regression", "reads": ["click"]}}}))
    return folder / "run"


def read(name):
    return pl.read_csv(name, try_parse_dates=True)


def test_train_extend_evaluate_predict(run, folder, trunkline):
    status, out, err = trunkline("extend", "run", "more.yaml", "--set", "training.epochs=1")
    assert status == 0
    assert "run: runs/more" in out
    assert "liking" in out
    assert "epoch 1:" in err
    assert "120 training rows" in err
    new = folder / "runs" / "more"
    resolved = yaml.safe_load((new / "config.yaml").read_text())
    assert list(resolved["tasks"]) == ["click", "dwell", "buy", "topic", "liking"]
    assert resolved["training"]["epochs"] == 1
    frame = read("test.csv")
    assert_frame_equal(Model.load(new)(frame).select(KEPT), Model.load(run)(frame).select(KEPT))

    status, out, _ = trunkline("evaluate", "runs/more", "test.csv", "--json")
    assert status == 0
    assert json.loads(out).keys() == json.loads((new / "metrics.json").read_text())["test"].keys()
    assert trunkline("predict", "runs/more", "test.csv", "-o", "out.csv")[0] == 0
    assert {"liking", *KEPT} <= set(read("out.csv").columns)
    # what an extension writes, training can go on with
    status, _, err = trunkline("train", "runs/more/config.yaml", "--out", "runs/more", "--resume", "--quiet")
    assert (status, err) == (0, "")


def test_a_small_rate_lets_the_old_ones_move(run, trunkline):
    assert trunkline("extend", "run", "more.yaml", "--out", "new", "--old-lr", "0.001", "--quiet")[0] == 0
    frame = read("test.csv")
    assert not Model.load("new")(frame).select("click").equals(Model.load(run)(frame).select("click"))


WRONG = {
    "a task that is there": ({"tasks": {"click": "binary"}}, [], "task click is in the run already"),
    "no task": ({"optimizer": {"lr": 1}}, [], "tasks is missing"),
    "a section of the run's": ({"tasks": {"liking": "regression"}, "network": {}}, [], "network is the run's"),
    "the run itself": ({"tasks": {"liking": "regression"}}, ["--out", "run"], "is the run to extend"),
    "a negative rate": ({"tasks": {"liking": "regression"}}, ["--old-lr", "-1"], "it must be 0 (frozen) or above"),
    "a bad value": ({"tasks": {"liking": "regression"}}, ["--set", "training.epochs"], "write KEY=VALUE"),
    "a missing column": ({"tasks": {"likin": "regression"}}, [], "did you mean 'liking'?"),
}


@pytest.mark.parametrize(("raw", "options", "words"), WRONG.values(), ids=WRONG)
def test_errors_end_with_2_and_leave_nothing(run, folder, trunkline, raw, options, words):
    (folder / "more.yaml").write_text(yaml.safe_dump(raw))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    status, out, err = trunkline("extend", "run", "more.yaml", *options)
    assert status == 2
    assert out == ""
    assert all(line.startswith("error: ") for line in err.splitlines())
    assert words in err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no", "more.yaml"), "no is no run folder"),
        (("run", "no.yaml"), "config no.yaml does not exist"),
    ],
)
def test_what_is_not_there(run, trunkline, arguments, words):
    status, _, err = trunkline("extend", *arguments)
    assert status == 2
    assert words in err


def test_a_folder_that_holds_a_run(run, trunkline):
    assert trunkline("extend", "run", "more.yaml", "--out", "new", "--quiet")[0] == 0
    status, _, err = trunkline("extend", "run", "more.yaml", "--out", "new", "--quiet")
    assert status == 2
    assert "new holds another run" in err
    assert trunkline("extend", "run", "more.yaml", "--out", "new", "--quiet", "--overwrite")[0] == 0


def test_ctrl_c_says_how_to_go_on(run, trunkline, monkeypatch):
    from trunkline.training import loop

    step = loop.Loop.step
    steps = []

    def counted(self, batch):
        steps.append(batch)
        if len(steps) == 3:
            import signal

            signal.raise_signal(signal.SIGINT)
        return step(self, batch)

    monkeypatch.setattr(loop.Loop, "step", counted)
    status, _, err = trunkline("extend", "run", "more.yaml", "--out", "new", "--quiet")
    assert status == 130
    command = "trunkline train new/config.yaml --out new --resume"
    assert command in err
    assert trunkline(*command.split()[1:], "--quiet")[0] == 0
    assert trunkline("extend", "run", "more.yaml", "--out", "straight", "--quiet")[0] == 0
    frame = read("test.csv")
    assert_frame_equal(Model.load("new")(frame), Model.load("straight")(frame))
