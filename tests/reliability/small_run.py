"""A small run with a column and a task of nearly every kind, for tests that damage its folder."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

CONFIG = {
    "features": {
        "user": {"kind": "categorical", "dim": 3},
        "item": {"kind": "hashed", "rows": 16, "dim": 2},
        "tags": {"kind": "bag", "dim": 2},
        "recent": {"kind": "sequence", "target": "user", "length": 4, "pool": "attention"},
        "price": {"kind": "numeric", "log": True},
        "taste": "vector",
        "returning": "boolean",
        "time": "datetime",
    },
    "tasks": {
        "click": {"kind": "binary", "calibrate": "temperature"},
        "buy": {"kind": "binary", "reads": ["click"], "calibrate": "isotonic"},
        "dwell": "regression",
        "topic": "multiclass",
        "stars": "ordinal",
        "visits": "poisson",
    },
    "network": {"sharing": {"kind": "mmoe", "experts": 2, "hidden": [4]}, "towers": {"hidden": [3]}},
    "training": {"epochs": 1, "batch_size": 40, "device": "cpu", "log_every": 2, "trackers": []},
    "balance": {"objective": "uncertainty", "gradients": "pcgrad"},
}


def small_rows(n=160, *, seed=0):
    draw = np.random.default_rng(seed)
    liking = draw.normal(size=n)
    users = [f"u{value}" for value in draw.integers(0, 5, n)]
    return pl.DataFrame(
        {
            "user": users,
            "item": draw.integers(0, 40, n),
            "tags": [[f"t{value}" for value in draw.integers(0, 4, i % 3)] for i in range(n)],
            "recent": [users[max(0, i - 3) : i] for i in range(n)],
            "price": draw.normal(size=n) + 10,
            "taste": draw.normal(size=(n, 2)).tolist(),
            "returning": draw.random(n) < 0.4,
            "time": [datetime(2024, 3, 1) + timedelta(minutes=97 * i) for i in range(n)],
            "click": (liking + draw.normal(size=n) > 0).astype(int),
            "buy": (liking + draw.normal(size=n) > 0.5).astype(int),
            "dwell": np.exp(liking) * 20,
            "topic": draw.choice(["art", "news", "sport"], n),
            "stars": draw.integers(1, 5, n),
            "visits": draw.poisson(2, n),
        }
    )


def make_small_run(folder):
    """Train it in the folder, from files beside it; returns the run's folder."""
    from trunkline import fit

    parts = {}
    for seed, part in enumerate(("train", "valid")):
        parts[part] = str(folder / f"{part}.parquet")
        small_rows(seed=seed).write_parquet(parts[part])
    fit(CONFIG | {"data": parts}, out=folder / "run")
    return folder / "run"
