"""The same seed on the same machine gives the same run to the bit, and nothing of it stays behind."""

import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from trunkline import Model, fit

CLOCK = {"train_seconds", "rows_per_second", "seconds"}
FILES = ("config.yaml", "encoder.json", "model.safetensors", "calibration.json")

PROGRAM = """
import sys
from pathlib import Path
import polars as pl
from trunkline import fit

folder, threads = Path(sys.argv[1]), int(sys.argv[2])
assert pl.thread_pool_size() == threads
parts = {part: str(folder / f"{part}.parquet") for part in ("train", "valid")}
frames = {part: pl.read_parquet(path) for part, path in parts.items()}
config = {
    "features": {
        "user": {"kind": "categorical", "dim": 3, "min_count": 2},
        "item": {"kind": "hashed", "rows": 50, "dim": 2},
        "tags": {"kind": "bag", "dim": 2},
        "price": "numeric",
        "height": {"kind": "numeric", "log": True},
        "taste": "vector",
        "time": "datetime",
    },
    "tasks": {"click": {"kind": "binary", "calibrate": "temperature"}, "dwell": "regression", "topic": "multiclass"},
    "network": {"sharing": {"hidden": [8]}, "towers": {"hidden": [4]}, "dropout": 0.2},
    "training": {"epochs": 1, "batch_size": 4096, "device": "cpu", "log_every": 20},
}
data = parts | {"store": str(folder / f"store{threads}")}
fit(config | {"data": data}, out=folder / f"files{threads}")
fit(config | {"data": data}, out=folder / f"store-again{threads}")
fit(config | {"data": parts | {"store": "none"}}, out=folder / f"memory{threads}")
fit(config, out=folder / f"frames{threads}", **frames)
"""


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in CLOCK}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def told(run, names=FILES):
    """What a run holds, without what the clock put there."""
    found = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names if (run / name).exists()}
    assert "model.safetensors" in found
    found["history"] = timeless([json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()])
    found["metrics"] = timeless(json.loads((run / "metrics.json").read_text()))
    return found


def rows(n, seed):
    draw = np.random.default_rng(seed)
    liking = draw.normal(size=n)
    return pl.DataFrame(
        {
            "user": pl.Series(draw.zipf(1.3, n) % 5000).cast(pl.String),
            "item": draw.integers(0, 10**6, n),
            "tags": pl.Series((draw.integers(0, 9, 2 * n)).reshape(n, 2).tolist()),
            "price": np.where(draw.random(n) < 0.1, None, draw.normal(size=n) * 1e3 + 1e5).tolist(),
            "height": draw.lognormal(size=n),
            "taste": draw.normal(size=(n, 2)).tolist(),
            "time": pl.Series(draw.integers(1_700_000_000_000, 1_720_000_000_000, n)).cast(pl.Datetime("ms")),
            "click": (liking + draw.normal(size=n) > 0).astype(int),
            "dwell": np.exp(liking),
            "topic": draw.choice(["art", "news", "sport"], n),
        },
        strict=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder with a run for each number of threads and each way that rows come."""
    folder = tmp_path_factory.mktemp("threads")
    rows(100_000, 0).write_parquet(folder / "train.parquet")
    rows(3_000, 1).write_parquet(folder / "valid.parquet")
    for threads in (1, 2, 4):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, folder, str(threads)],
            env=os.environ | {"POLARS_MAX_THREADS": str(threads), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    return folder


WAYS = ("files", "store-again", "memory", "frames")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("threads", [2, 4])
def test_any_number_of_threads_reads_and_encodes_alike(runs, way, threads):
    assert told(runs / f"{way}{threads}") == told(runs / f"{way}1") | (
        {"config.yaml": told(runs / f"{way}{threads}")["config.yaml"]} if way in ("files", "store-again") else {}
    )


@pytest.mark.parametrize("way", WAYS[1:])
def test_files_frames_and_stores_train_alike(runs, way):
    names = FILES[1:]
    assert told(runs / f"{way}1", names) == told(runs / "files1", names)
    assert list((runs / "store1").rglob("meta.json"))


@pytest.fixture
def hard(settings):
    settings["training"] |= {"epochs": 2, "log_every": 1}
    settings["balance"] = {"objective": "uncertainty", "gradients": "pcgrad"}
    return settings


def draw():
    random.random()
    np.random.rand(3)  # noqa: NPY002  # the global one is meant
    torch.rand(3)


def world():
    """What a process has one of."""
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002
        "random": random.getstate(),
        "dtype": torch.get_default_dtype(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic),
        "gradients": torch.is_grad_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "flush": torch.finfo(torch.float32).tiny,
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)},
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "numpy's errors": np.geterr(),
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "hook": (sys.excepthook, sys.unraisablehook),
        "path": list(sys.path),
    }


def test_a_training_leaves_the_process_as_it_was(hard, make_rows, tmp_path):
    hard["training"]["seed"] = 7
    fit(hard, train=make_rows(), valid=make_rows(60, seed=1), out=tmp_path / "first")  # what is loaded once, is
    torch.manual_seed(9)
    draw()
    before = world()
    model = fit(hard, train=make_rows(), valid=make_rows(60, seed=1), out=tmp_path / "run")
    assert world() == before
    fit(hard, train=make_rows(), valid=make_rows(60, seed=1), out=tmp_path / "run", resume=True)
    Model.load(tmp_path / "run", device="cpu")(make_rows(9))
    model.evaluate(make_rows(20))
    assert world() == before


@pytest.mark.parametrize("state", [0, 1])
def test_what_is_drawn_before_a_training_changes_nothing(hard, make_rows, tmp_path, state):
    parts = {"train": make_rows(), "valid": make_rows(60, seed=1)}
    fit(hard, **parts, out=tmp_path / "one")
    torch.manual_seed(state)
    draw()
    fit(hard, **parts, out=tmp_path / "other")
    assert told(tmp_path / "one") == told(tmp_path / "other")


def test_a_training_within_a_training_changes_neither(hard, make_rows, tmp_path):
    parts = {"train": make_rows(), "valid": make_rows(60, seed=1)}
    fit(hard, **parts, out=tmp_path / "alone")

    def train_another(line):
        if line["step"] == 3 and "losses" in line:
            fit(hard, **parts, out=tmp_path / "within")

    fit(hard, **parts, out=tmp_path / "around", on_line=train_another)
    assert told(tmp_path / "alone") == told(tmp_path / "within") == told(tmp_path / "around")


def test_another_seed_gives_another_run(hard, make_rows, tmp_path):
    parts = {"train": make_rows(), "valid": make_rows(60, seed=1)}
    fit(hard, **parts, out=tmp_path / "one")
    fit(hard, **parts, out=tmp_path / "other", overrides={"training.seed": 1})
    assert told(tmp_path / "one")["model.safetensors"] != told(tmp_path / "other")["model.safetensors"]


def test_what_a_watcher_draws_changes_nothing(hard, make_rows, tmp_path):
    parts = {"train": make_rows(), "valid": make_rows(60, seed=1)}
    fit(hard, **parts, out=tmp_path / "alone")
    fit(hard, **parts, out=tmp_path / "watched", on_line=lambda line: draw(), on_start=lambda loop: draw())
    assert told(tmp_path / "alone") == told(tmp_path / "watched")
