import os
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tiny networks are fastest on one core; `make test-kernels` asks for two."""
    torch.set_num_threads(int(os.environ.get("TRUNKLINE_TEST_THREADS", "1")))


@pytest.fixture(scope="session", autouse=True)
def _stores_of_their_own(tmp_path_factory):
    """No test leaves encoded rows in the user's cache, nor reads any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUNKLINE_STORE", str(tmp_path_factory.mktemp("stores")))
        yield


@pytest.fixture(scope="session")
def make_rows():
    """Rows of a small feed: every kind of column and of label, nulls in most of them."""

    def make_rows(n=240, *, seed=0):
        draw = np.random.default_rng(seed)
        price = draw.normal(size=n) * 3 + 10
        user = draw.integers(0, 6, n)
        liking = (price - 10) / 3 + (user - 2.5) / 2
        click = (liking + draw.normal(size=n) > 0).astype(int)
        missing = draw.random((5, n)) < 0.1
        frame = pl.DataFrame(
            {
                "user": [f"u{value}" for value in user],
                "item": draw.integers(2**60, 2**60 + 9, n),
                "price": price,
                "returning": draw.random(n) < 0.4,
                "time": [datetime(2024, 3, 1) + timedelta(minutes=97 * i) for i in range(n)],
                "click": click,
                "dwell": np.exp(liking / 2 + draw.normal(size=n)) * 20,
                "buy": (liking + draw.normal(size=n) > 0.5).astype(int),
                "topic": [("art", "news", "sport")[int(value)] for value in np.clip(np.rint(liking) + 1, 0, 2)],
                "importance": draw.random(n) * 2,
            }
        )
        for name, holes in zip(("user", "price", "returning", "dwell", "topic"), missing, strict=True):
            frame = frame.with_columns(pl.when(pl.Series(holes)).then(None).otherwise(pl.col(name)).alias(name))
        return frame

    return make_rows


@pytest.fixture
def settings():
    """A config for those rows that trains in a fraction of a second."""
    return {
        "features": {
            "user": {"kind": "categorical", "dim": 4},
            "item": {"kind": "categorical", "dim": 3},
            "price": {"kind": "numeric", "log": True},
            "returning": "boolean",
            "time": "datetime",
        },
        "tasks": {
            "click": {"kind": "binary"},
            "dwell": {"kind": "regression", "where": "click", "weight": "importance"},
            "buy": {"kind": "binary", "reads": ["click", "topic"]},
            "topic": {"kind": "multiclass", "reads": ["click"], "gradient": "flow"},
        },
        "network": {"sharing": {"hidden": [12]}, "towers": {"hidden": [6]}, "dropout": 0.2},
        "optimizer": {"lr": 0.01},
        "training": {"epochs": 2, "batch_size": 50, "patience": None, "device": "cpu", "log_every": 3},
    }
