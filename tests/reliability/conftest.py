"""What tests of runs that die, or are read by strangers, have in common."""

import json

import numpy as np
import polars as pl
import pytest

CLOCK = {"train_seconds", "rows_per_second"}


@pytest.fixture(scope="module")
def parts():
    draw = np.random.default_rng(0)

    def part(n):
        price = draw.normal(size=n)
        click = (price + draw.normal(size=n) > 0).astype(int)
        return pl.DataFrame(
            {
                "user": draw.integers(0, 9, n).astype(str),
                "page": draw.integers(0, 3, n).astype(str),
                "price": price,
                "seen": [draw.integers(0, 5, k).astype(str).tolist() for k in draw.integers(0, 4, n)],
                "click": click,
                "dwell": np.where(draw.random(n) < 0.2, np.nan, np.exp(price + draw.normal(size=n))),
                "buy": click * draw.integers(0, 2, n),
            }
        ).with_columns(pl.col("dwell").fill_nan(None))

    return {"train": part(128), "valid": part(48)}


@pytest.fixture
def small_settings():
    """A config for `parts`: lists, hashed ids, missing labels, a cascade, dropout; a fraction of a second."""
    return {
        "data": {"store": "none"},
        "features": {
            "user": {"kind": "categorical", "dim": 3},
            "page": {"kind": "hashed", "rows": 8, "dim": 2},
            "price": "numeric",
            "seen": {"kind": "bag", "dim": 2},
        },
        "tasks": {
            "click": {"kind": "binary"},
            "dwell": {"kind": "lognormal", "where": "click", "reads": ["click"]},
            "buy": {"kind": "binary", "space": "click"},
        },
        "network": {"sharing": {"hidden": [6, 4]}, "towers": {"hidden": [3]}, "dropout": 0.3, "activation": "gelu"},
        "optimizer": {"lr": 0.02},
        "training": {
            "epochs": 2,
            "batch_size": 32,
            "patience": None,
            "device": "cpu",
            "log_every": 1,
            "checkpoint_minutes": 0,
        },
    }


def _timeless(value):
    return {k: _timeless(v) if isinstance(v, dict) else v for k, v in value.items() if k not in CLOCK}


@pytest.fixture
def whole():
    """Everything that a run leaves, but for its clock."""
    return _whole


def _whole(run):
    lines = [_timeless(json.loads(line)) for line in (run / "history.jsonl").read_text().splitlines()]
    metrics = _timeless(json.loads((run / "metrics.json").read_text()))
    files = {p.name: p.read_bytes() for p in run.iterdir() if p.suffix in (".safetensors", ".yaml")}
    others = {name: (run / name).read_text() for name in ("curves.json", "calibration.json") if (run / name).exists()}
    return lines, metrics, files, others
