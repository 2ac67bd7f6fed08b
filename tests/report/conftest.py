"""A run with files, in which there is something to find, and a small comparison."""

import shutil

import numpy as np
import polars as pl
import pytest

from trunkline import compare, fit
from trunkline.datasets import feed

TASKS = {
    "click": {"kind": "binary", "calibrate": "temperature"},
    "dwell": {"kind": "lognormal", "where": "click"},
    "buy": {"kind": "binary", "label": "purchase", "space": "click", "reads": ["click"]},
    "which": {"kind": "multiclass", "label": "category"},
}


@pytest.fixture(scope="session")
def first_run(tmp_path_factory):
    """A run of rows of which one column gives click away, and one has one value."""
    folder = tmp_path_factory.mktemp("report")
    frame = feed.simulate(6_000, seed=1)
    hint = 3 * pl.col("click") + pl.Series(np.random.default_rng(0).normal(size=len(frame))) / 20
    parts = feed.split(frame.with_columns(hint.alias("<i>hint"), nothing=pl.lit("x")))
    for part, rows in parts.items():
        rows.write_parquet(folder / f"{part}.parquet")
    features = {"item": "categorical", "device": "categorical", "nothing": "categorical"}
    config = {
        "data": {part: str(folder / f"{part}.parquet") for part in parts} | {"store": "none"},
        "features": features | {"price": "numeric", "age": "numeric", "<i>hint": "numeric"},
        "tasks": TASKS,
        "network": {"sharing": {"kind": "mmoe", "experts": 3, "hidden": [8]}, "towers": {"hidden": [4]}},
        "balance": {"gradients": "pcgrad"},
        "training": {"epochs": 2, "batch_size": 512, "log_every": 3, "log_gradients": True},
    }
    fit(config, out=folder / "<b>a run")
    return folder / "<b>a run"


@pytest.fixture
def run(first_run, tmp_path):
    """A copy, to write into."""
    return shutil.copytree(first_run, tmp_path / first_run.name)


@pytest.fixture(scope="session")
def first_compared(tmp_path_factory):
    """A comparison of two tasks over two seeds, in which one variant fails."""
    config = {
        "data": {"store": "none"},
        "features": {"item": "categorical", "price": "numeric", "age": "numeric"},
        "tasks": {"click": "binary", "dwell": {"kind": "lognormal", "where": "click"}},
        "network": {"sharing": {"hidden": [8]}, "towers": {"hidden": [4]}},
        "training": {"epochs": 3, "batch_size": 512},
    }
    parts = feed.split(feed.simulate(3_000, seed=2))
    vary = {"optimizer.lr": [0.003, 1e30], "balance.objective": ["sum", "famo"]}
    out = tmp_path_factory.mktemp("compared") / "sharing"
    compare(config, vary=vary, seeds=2, jobs=1, out=out, with_trees=True, resamples=50, **parts)
    return out


@pytest.fixture
def compared(first_compared, tmp_path):
    """A copy, to write into."""
    return shutil.copytree(first_compared, tmp_path / first_compared.name)
