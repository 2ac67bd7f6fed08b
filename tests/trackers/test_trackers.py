"""What is logged, read back with TensorBoard's and MLflow's own readers; the MLflow server is MLflow's own too."""

import json
import logging
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import Config, UserError, fit
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import read_history
from trunkline.trackers.mlflow_names import LONGEST_NAME, LONGEST_VALUE, mlflow_name, mlflow_params
from trunkline.trackers.scalars import scalars

RICH = {
    "network.sharing": "mmoe",
    "balance.gradients": "pcgrad",
    "training.log_gradients": True,
    "training.log_every": 2,
}
"""A config with everything in its history that there can be."""
NOT_LOGGED = {"step", "epoch", "best", "unused_experts"}


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(seed=0), "valid": make_rows(80, seed=1), "test": make_rows(60, seed=2)}


class Server:
    """MLflow's server on a thread; it can be shut and opened again."""

    def __init__(self, app):
        self.app, self.port = app, 0
        self.open()

    def open(self):
        serving = pytest.importorskip("werkzeug.serving")
        self._server = serving.make_server("127.0.0.1", self.port, self.app, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def shut(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self):
        return client(self.uri)


def client(uri=None):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@pytest.fixture(scope="module")
def app():
    """MLflow's server. All of MLflow takes seconds to import, hence not at the top."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")  # of the readers in here; trunkline's is off anyway
        # Before the variables that make it a server: with them it would need a library more, against web pages.
        yield pytest.importorskip("mlflow.server").app


@pytest.fixture(scope="module")
def served(app, tmp_path_factory):
    place = tmp_path_factory.mktemp("mlflow")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{place}/mlflow.db")
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(place / "artifacts"))
        patch.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
        one = Server(app)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one.client.search_experiments()  # it makes its database when it is first asked
        yield one
        one.shut()


@pytest.fixture
def to_mlflow(served):
    return {"training.trackers": [{"kind": "mlflow", "uri": served.uri}]}


def flat(value, path=()):
    """Every number of a line, by its path."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in flat(inner, (*path, key)).items()}
    return {path: value} if isinstance(value, (int, float)) else {}


def expected(model):
    """Value by name and step of every number in the history, and of the test scores."""
    found = {}
    lines = [*model.history, {"step": model.history[-1]["step"], "test": model.metrics.get("test", {})}]
    for line in lines:
        named = {}
        for (first, *rest), value in flat({k: v for k, v in line.items() if k not in NOT_LOGGED}).items():
            if first == "gates" and rest[1] == "entropy":
                named["gates" if "losses" in line else "epoch_gates", rest[0]] = value
            elif first != "gates" and rest[-1:] != ["rows"]:
                named[first, *rest] = value
        tasks = list(line.get("losses", {}))
        for (i, one), (j, other) in combinations(enumerate(tasks), 2):
            if "cosines" in line and line["cosines"][i][j] is not None:
                named["cosines", one, other] = line["cosines"][i][j]
        found |= {("/".join(name), line["step"]): value for name, value in named.items()}
    return found


def events(folder):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    return accumulator.Reload()


def in_tensorboard(folder):
    found = events(folder)
    read = [((tag, event.step), event.value) for tag in found.Tags()["scalars"] for event in found.Scalars(tag)]
    assert max(Counter(place for place, _ in read).values()) == 1
    return dict(read)


def run_of(reader, folder):
    return reader.get_run(json.loads((folder / "mlflow.json").read_text())["run"])


def in_mlflow(reader, folder):
    run = run_of(reader, folder)
    histories = [reader.get_metric_history(run.info.run_id, key) for key in run.data.metrics]
    read = [((metric.key, metric.step), metric.value) for history in histories for metric in history]
    assert max(Counter(place for place, _ in read).values()) == 1
    return dict(read)


def float32(values):
    return {place: float(np.float32(value)) for place, value in values.items()}


def without_speed(values):
    return {place: value for place, value in values.items() if place[0] != "rows_per_second"}


def stop_at(step):
    """A watcher that presses Ctrl-C once."""
    import signal

    pressed = []

    def watch(line):
        if not pressed and line["step"] >= step:
            pressed.append(line)
            signal.raise_signal(signal.SIGINT)

    return watch


def test_every_number_of_the_history_is_in_both(settings, parts, tmp_path, served):
    trackers = ["tensorboard", {"kind": "mlflow", "uri": served.uri, "experiment": "a new one", "name": "rich"}]
    model = fit(settings, **parts, out=tmp_path / "run", overrides={**RICH, "training.trackers": trackers})
    numbers = expected(model)
    groups = {name.split("/")[0] for name, _ in numbers}
    assert groups == {
        *("losses", "weights", "sigma", "fork_weights", "gradient_norms", "cosines", "lr", "updates", "gates"),
        *("objective", "sum", "rows_per_second", "epoch_gates", "valid", "score", "test"),
    }
    assert in_tensorboard(tmp_path / "run" / "tensorboard") == float32(numbers)
    assert in_mlflow(served.client, tmp_path / "run") == numbers
    run = run_of(served.client, tmp_path / "run")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "rich")
    assert served.client.get_experiment(run.info.experiment_id).name == "a new one"


def test_config_and_metrics_are_there(settings, parts, tmp_path, served, to_mlflow):
    run = tmp_path / "run"
    both = {"training.trackers": ["tensorboard", *to_mlflow["training.trackers"]]}
    fit(settings, **parts, out=run, overrides={**both, "data.null_values": ["n" * 400] * 20})
    (text,) = events(run / "tensorboard").Tensors("config/text_summary")
    shown = text.tensor_proto.string_val[0].decode()
    assert "".join(line[4:] for line in shown.splitlines(keepends=True)) + "\n" == (run / "config.yaml").read_text()
    assert all(line.startswith("    ") for line in shown.splitlines())
    found = run_of(served.client, run)
    assert found.info.run_name == "run"
    assert found.data.params["optimizer.lr"] == "0.01"
    assert found.data.params["tasks.buy.reads"] == '["click", "topic"]'
    assert found.data.params["training.patience"] == "null"
    assert len(found.data.params["data.null_values"]) == LONGEST_VALUE
    for name in ("config.yaml", "metrics.json"):
        fetched = served.client.download_artifacts(found.info.run_id, name, str(tmp_path))
        assert Path(fetched).read_bytes() == (run / name).read_bytes()


def test_mlflow_by_default_is_what_mlflow_takes(settings, parts, tmp_path, monkeypatch, app):
    import mlflow

    for name in ("MLFLOW_TRACKING_URI", "_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_ARTIFACT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(None)  # the server in this process has set it
    model = fit(settings, **parts, out="run", overrides={"training.trackers": ["mlflow"]})
    theirs = client()
    assert theirs.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert in_mlflow(theirs, tmp_path / "run") == expected(model)
    assert theirs.get_experiment(run_of(theirs, tmp_path / "run").info.experiment_id).name == "Default"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    fit(settings, **parts, out="other", overrides={"training.trackers": ["mlflow"]})
    assert theirs.get_experiment(run_of(theirs, tmp_path / "other").info.experiment_id).name == "theirs"
    before = {name: os.environ.get(name) for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")}
    assert set(before.values()) == {None}


@pytest.mark.parametrize("step", [3, 5, 9])
def test_a_resumed_training_shows_each_step_once(settings, parts, tmp_path, served, to_mlflow, step):
    run = tmp_path / "run"
    overrides = {"training.trackers": ["tensorboard", *to_mlflow["training.trackers"]], "training.log_every": 2}
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, out=run, overrides=overrides, on_line=stop_at(step))
    first = run_of(served.client, run)
    assert first.info.status == "KILLED"
    assert "test/click/auc" not in first.data.metrics
    model = fit(settings, **parts, out=run, overrides=overrides, resume=True)
    last = run_of(served.client, run)
    assert (last.info.run_id, last.info.status) == (first.info.run_id, "FINISHED")
    assert in_tensorboard(run / "tensorboard") == float32(expected(model))
    assert in_mlflow(served.client, run) == expected(model)


def test_a_killed_training_shows_each_step_once(settings, parts, tmp_path, served, to_mlflow):
    """What SIGKILL leaves behind: a checkpoint of an epoch, lines of later steps everywhere, and half a record."""
    run, kept = tmp_path / "run", tmp_path / "kept"
    overrides = {"training.trackers": ["tensorboard", *to_mlflow["training.trackers"]], "training.log_every": 2}

    def keep(line):
        if line["step"] == 6:
            shutil.copytree(run / "checkpoint", kept)

    before = expected(fit(settings, **parts, out=run, overrides=overrides, on_line=keep))
    shutil.rmtree(run / "checkpoint")
    kept.rename(run / "checkpoint")
    (written,) = (run / "tensorboard").iterdir()
    written.write_bytes(written.read_bytes()[:-7])
    after = expected(fit(settings, **parts, out=run, overrides=overrides, resume=True))
    assert after != before
    assert without_speed(after) == without_speed(before)
    assert in_tensorboard(run / "tensorboard") == float32(after)
    assert in_mlflow(served.client, run) == before  # it keeps what it has of a step


def test_a_finished_run_may_be_resumed_and_go_further(settings, parts, tmp_path, served, to_mlflow):
    run = tmp_path / "run"
    overrides = {"training.trackers": ["tensorboard", *to_mlflow["training.trackers"]]}
    numbers = expected(fit(settings, **parts, out=run, overrides=overrides))
    fit(settings, **parts, out=run, overrides=overrides, resume=True)
    assert in_tensorboard(run / "tensorboard") == float32(numbers)
    assert in_mlflow(served.client, run) == numbers
    longer = fit(settings, **parts, out=run, overrides={**overrides, "training.epochs": 3}, resume=True)
    # The test scores after the second epoch: MLflow keeps them, in TensorBoard's files the third counts alone.
    assert in_mlflow(served.client, run) == numbers | expected(longer)
    assert in_tensorboard(run / "tensorboard") == float32(expected(longer))
    assert run_of(served.client, run).data.params["training.epochs"] == "2"  # MLflow lets no parameter change


def test_a_tracker_that_joins_later_is_told_everything(settings, parts, tmp_path, served, to_mlflow):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, out=run, on_line=stop_at(3))
    overrides = {"training.trackers": ["tensorboard", *to_mlflow["training.trackers"]]}
    model = fit(settings, **parts, out=run, overrides=overrides, resume=True)
    assert in_tensorboard(run / "tensorboard") == float32(expected(model))
    assert in_mlflow(served.client, run) == expected(model)
    assert events(run / "tensorboard").Tags()["tensors"] == ["config/text_summary"]


def test_a_run_that_mlflow_no_longer_has_is_made_anew(settings, parts, tmp_path, served, to_mlflow):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, out=run, overrides=to_mlflow, on_line=stop_at(3))
    served.client.delete_run(run_of(served.client, run).info.run_id)
    model = fit(settings, **parts, out=run, overrides=to_mlflow, resume=True)
    assert in_mlflow(served.client, run) == expected(model)


def test_a_run_that_is_replaced_leaves_nothing(settings, parts, tmp_path, served, to_mlflow):
    run = tmp_path / "run"
    overrides = {"training.trackers": ["tensorboard", *to_mlflow["training.trackers"]]}
    fit(settings, **parts, out=run, overrides={**overrides, **RICH})
    old = run_of(served.client, run).info.run_id
    model = fit(settings, **parts, out=run, overrides=overrides, overwrite=True)
    assert in_tensorboard(run / "tensorboard") == float32(expected(model))
    assert run_of(served.client, run).info.run_id != old
    assert served.client.get_run(old).data.metrics.keys() > run_of(served.client, run).data.metrics.keys()
    fit(settings, **parts, out=run, overwrite=True)
    assert not (run / "tensorboard").exists()
    assert not (run / "mlflow.json").exists()


def test_runs_lie_side_by_side_in_a_folder_of_the_users(settings, parts, tmp_path):
    overrides = {"training.trackers": [{"kind": "tensorboard", "folder": str(tmp_path / "all")}]}
    models = {name: fit(settings, **parts, out=tmp_path / name, overrides=overrides) for name in ("one", "two")}
    for name, model in models.items():
        assert in_tensorboard(tmp_path / "all" / name) == float32(expected(model))
        assert not RunFolder(tmp_path / name).tensorboard.exists()
    other = fit(settings, **parts, out=tmp_path / "one", overrides={**overrides, **RICH}, overwrite=True)
    assert in_tensorboard(tmp_path / "all" / "one") == float32(expected(other))


def test_a_run_without_a_folder(settings, parts, served, to_mlflow):
    overrides = {"training.trackers": ["tensorboard", *to_mlflow["training.trackers"]]}
    model = fit(settings, **parts, overrides=overrides)
    assert in_tensorboard(model.path / "tensorboard") == float32(expected(model))
    assert in_mlflow(served.client, model.path) == expected(model)


def test_a_training_that_fails_is_said_to_have(settings, parts, tmp_path, served, to_mlflow):
    overrides = {"training.trackers": ["tensorboard", *to_mlflow["training.trackers"]]}

    def fail(line):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fit(settings, **parts, out=tmp_path / "run", overrides=overrides, on_line=fail)
    assert run_of(served.client, tmp_path / "run").info.status == "FAILED"
    (line,) = read_history(tmp_path / "run" / "history.jsonl")
    assert in_tensorboard(tmp_path / "run" / "tensorboard").keys() == {(name, 3) for name in scalars(line)}


def told_of_trackers(caplog):
    """Warnings, but for that of the few steps which so small a training has."""
    found = [record.getMessage() for record in caplog.records if record.name == "trunkline"]
    return [text for text in found if not text.startswith("training.batch_size")]


def test_a_server_that_dies_ends_no_training(settings, parts, tmp_path, served, to_mlflow, caplog):
    run, overrides = tmp_path / "run", {**to_mlflow, "training.log_every": 1, "training.epochs": 3}
    plain = fit(settings, **parts, overrides={**overrides, "training.trackers": []})

    def die(line):
        if line["step"] == 4 and "losses" in line:
            while "sum" not in run_of(served.client, run).data.metrics:
                time.sleep(0.01)
            served.shut()

    began = time.monotonic()
    try:
        model = fit(settings, **parts, out=run, overrides=overrides, on_line=die)
    finally:
        served.open()
    assert time.monotonic() - began < 10
    assert without_speed(expected(model)) == without_speed(expected(plain))
    (told,) = told_of_trackers(caplog)
    assert told.startswith(f"MLflow at {served.uri}: ")
    assert "refused" in told
    assert "the training goes on" in told
    assert {step for _, step in in_mlflow(served.client, run)} <= {1, 2, 3, 4}
    assert run_of(served.client, run).info.status == "RUNNING"
    # All that is missing is sent when the run is resumed.
    fit(settings, **parts, out=run, overrides=overrides, resume=True)
    assert in_mlflow(served.client, run) == expected(model)
    assert run_of(served.client, run).info.status == "FINISHED"


def test_a_server_that_comes_back_gets_everything(settings, parts, tmp_path, served, to_mlflow, caplog):
    run, overrides = tmp_path / "run", {**to_mlflow, "training.log_every": 1}

    def blink(line):
        if line["step"] == 3 and "losses" in line:
            served.shut()
        if line["step"] == 6 and "losses" in line:
            time.sleep(0.5)
            served.open()

    model = fit(settings, **parts, out=run, overrides=overrides, on_line=blink)
    assert in_mlflow(served.client, run) == expected(model)
    assert run_of(served.client, run).info.status == "FINISHED"
    assert len(told_of_trackers(caplog)) == 1


def test_what_a_server_refuses_is_told_once(settings, parts, tmp_path, served, to_mlflow, caplog):
    def lose(line):
        if line["step"] == 3:
            served.client.delete_run(run_of(served.client, tmp_path / "run").info.run_id)

    model = fit(settings, **parts, out=tmp_path / "run", overrides=to_mlflow, on_line=lose)
    assert model.metrics["epochs"] == 2
    (told,) = told_of_trackers(caplog)
    assert "deleted" in told


def test_a_full_disk_ends_no_training(settings, parts, tmp_path, monkeypatch, caplog):
    from tensorboard.summary.writer import record_writer

    def full(self, data):
        raise OSError(28, "No space left on device")

    def fill(line):
        monkeypatch.setattr(record_writer.RecordWriter, "write", full)

    model = fit(settings, **parts, out=tmp_path / "run", overrides={"training.trackers": ["tensorboard"]}, on_line=fill)
    assert model.metrics["epochs"] == 2
    (told,) = told_of_trackers(caplog)
    assert told.startswith("tensorboard fails: [Errno 28]")
    written = in_tensorboard(tmp_path / "run" / "tensorboard")
    assert {step for _, step in written} == {model.history[0]["step"]}


def closed_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_server_that_is_not_there_is_told_before_anything_else(settings, tmp_path, app):
    uri = f"http://127.0.0.1:{closed_port()}"
    began = time.monotonic()
    with pytest.raises(UserError) as found:
        fit(
            {**settings, "data": {"train": "nowhere.csv"}},
            overrides={"training.trackers": [{"kind": "mlflow", "uri": uri}]},
        )
    assert time.monotonic() - began < 5
    here, there = sorted(found.value.problems, key=lambda problem: "MLflow" in problem)
    assert "nowhere.csv" in here
    assert there.startswith(f"training.trackers: MLflow at {uri}: ")
    assert "refused" in there


def test_a_server_that_never_answers(settings, parts, monkeypatch, app):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match="timed out"):
            fit(settings, **parts, overrides={"training.trackers": [{"kind": "mlflow", "uri": uri}]})


@pytest.mark.parametrize("uri", ["mysterious://x", "http://", "sqlite:///file/x.db"])
def test_uris_that_mlflow_does_not_take(settings, parts, uri, tmp_path, monkeypatch, app):
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^training\.trackers: MLflow at "):
        fit(settings, **parts, overrides={"training.trackers": [{"kind": "mlflow", "uri": uri}]})


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_a_library_that_is_not_there(settings, kind, monkeypatch):
    for name in (kind, "tensorboard.compat.proto"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError) as found:
        fit({**settings, "data": {"train": "nowhere.csv"}}, overrides={"training.trackers": [kind]})
    assert any(f"{kind} is not installed" in problem for problem in found.value.problems)
    assert any(f"pip install 'trunkline[{kind}]'" in problem for problem in found.value.problems)
    assert any("nowhere.csv" in problem for problem in found.value.problems)


def test_a_folder_that_is_a_file(settings, parts, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        fit(
            settings,
            **parts,
            overrides={"training.trackers": [{"kind": "tensorboard", "folder": str(tmp_path / "file")}]},
        )


def test_strange_names_stay_apart(parts, tmp_path, served, to_mlflow):
    """Tasks' names are plain, but scores of two tasks have names with `|` and `&`, and features may have any."""
    strange = ["a", "b, c", "größe", "x/y", "x:y", "..", "100 %", "喜欢", "🙂", "_x26_"]
    columns = [pl.col("price").alias(name) for name in strange]
    frames = {part: frame.with_columns(pl.col("buy") * pl.col("click"), *columns) for part, frame in parts.items()}
    config = {
        "features": dict.fromkeys(strange, "numeric"),
        "tasks": {
            "click": "binary",
            "buy": {"kind": "binary", "space": "click"},
            "keep": {"kind": "binary", "label": "buy", "where": "click"},
        },
        "training": {"epochs": 1, "device": "cpu"},
    }
    overrides = {"training.trackers": ["tensorboard", *to_mlflow["training.trackers"]]}
    model = fit(config, **frames, out=tmp_path / "run", overrides=overrides)
    assert {"buy|click", "click&keep"} <= model.metrics["test"].keys()
    shown, logged = in_tensorboard(tmp_path / "run" / "tensorboard"), in_mlflow(served.client, tmp_path / "run")
    assert shown == float32(expected(model))
    readable = {"_x7c_": "|", "_x26_": "&"}
    names = {name for name, _ in logged}
    for code, letter in readable.items():
        names = {name.replace(code, letter) for name in names}
    assert names == {name for name, _ in shown}
    features = [name for name in run_of(served.client, tmp_path / "run").data.params if name.startswith("features.")]
    assert len(features) == 2 * len(strange)
    assert "features.größe.kind" in features
    assert "features._x5f_x26_.kind" in features


@given(st.lists(st.text(st.sampled_from("ab_x5f2.,/| ü\n🙂"), max_size=6), min_size=2, max_size=2, unique=True))
def test_names_for_mlflow_are_taken_and_stay_apart(app, names):
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    for name in names:
        _validate_metric_name(mlflow_name("losses", name))
        _validate_param_name(mlflow_name(name))
    assert len({mlflow_name("losses", name) for name in names}) == 2
    assert len({mlflow_name(name, "z" * 300) for name in names}) == 2
    assert len(mlflow_name(names[0], "z" * 300)) == LONGEST_NAME


def test_long_configs_are_cut():
    params = mlflow_params(
        {"features": {f"f{i}": "numeric" for i in range(2000)}, "tasks": {"a": {"x": {}, "y": None}}}
    )
    assert len(params) == 1000
    assert list(params.items())[:2] == [("tasks.a.x", "{}"), ("tasks.a.y", "null")]


def test_what_is_no_number_is_left_out():
    line = {
        "step": 1,
        "losses": {"a": None, "b": math.inf, "c": 1},
        "objective": math.nan,
        "score": None,
        "valid": None,
    }
    assert scalars(line) == {"losses/c": 1.0}


@pytest.mark.parametrize(
    "trackers",
    [
        [],
        ["tensorboard"],
        [{"kind": "tensorboard", "folder": "logs"}, {"kind": "mlflow", "uri": "http://x:5000", "experiment": "größe"}],
        [{"kind": "mlflow", "name": "one"}],
    ],
)
def test_configs_round_trip(settings, tmp_path, trackers):
    config = Config.make(settings, overrides={"training.trackers": trackers})
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    assert Config.make(tmp_path / "config.yaml") == config
    assert [tracker.kind for tracker in config.training.trackers] == [
        tracker if isinstance(tracker, str) else tracker["kind"] for tracker in trackers
    ]


@pytest.mark.parametrize(
    ("trackers", "words"),
    [
        (["tensorbord"], "tracker 'tensorbord' is unknown; did you mean 'tensorboard'?"),
        ([{"kind": "mlflow", "url": "x"}], "unknown key 'url' in mlflow; did you mean 'uri'?"),
        (["mlflow", {"kind": "mlflow", "uri": "x"}], "mlflow is there twice"),
        ([{"kind": "mlflow", "uri": "http://me:secret@x"}], "MLFLOW_TRACKING_URI"),
        (3, "training.trackers: 3: input should be a valid list"),
        ([{"folder": "x"}], "give its kind"),
    ],
)
def test_mistakes_are_told(settings, trackers, words):
    with pytest.raises(UserError) as found:
        Config.make(settings, overrides={"training.trackers": trackers})
    assert words in str(found.value)
    assert "known: folder, kind" not in str(found.value)


SILENT = """
import logging, sys
import requests

asked = []
def ask(*arguments, **options):
    asked.append(arguments)
    raise requests.ConnectionError("nobody")
requests.Session.request = requests.get = requests.post = ask

import mlflow  # as a user may have done before, with all that comes with it
from mlflow.telemetry.client import get_telemetry_client
from trunkline.runs.folder import RunFolder
from trunkline.trackers import MLflow
from pathlib import Path

run = RunFolder(Path("run"))
run.start()
run.config.write_text("tasks: {click: binary}")
run.metrics.write_text("{}")
tracker = MLflow()
tracker.check()
tracker.start(run, [], step=0)
tracker.line({"step": 1, "objective": 0.5})
tracker.end(run, "finished")
client = get_telemetry_client()
assert client is not None and not client.is_active and not client._pending_records, "something was recorded"
assert mlflow.MlflowClient().get_metric_history(__import__("json").loads(run.mlflow.read_text())["run"], "objective")
assert not asked
mlflow.MlflowClient().create_experiment("by the user")
assert client.is_active, "the test sees nothing"
print("silent")
"""


def test_nothing_is_sent_to_mlflows_makers(tmp_path):
    """In a process of its own: in a test's MLflow is silent anyway."""
    hints = (
        "CI",
        "GITHUB",
        "GITLAB",
        "PYTEST",
        "MLFLOW",
        "_MLFLOW",
        "DO_NOT_TRACK",
        "RUNBOT",
        "BUILD",
        "TF_BUILD",
        "JENKINS",
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hints)}
    done = subprocess.run(
        [sys.executable, "-c", SILENT],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path)},
    )
    assert done.stdout == "silent\n", done.stderr
