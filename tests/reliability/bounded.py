"""Run as a process of its own: does what tests ask for and prints the most memory that the process had, in MB."""

import resource
import sys

import numpy as np
import polars as pl
import pytest
import torch

from trunkline import fit
from trunkline.errors import UserError
from trunkline.log_level import only_errors

SETTINGS = {
    "tasks": {"y": "binary"},
    "network": {"sharing": {"hidden": [8]}, "towers": {"hidden": []}},
    "training": {"epochs": 1, "batch_size": 4096, "device": "cpu"},
}


def train(columns, rows, **settings):
    frame = pl.DataFrame({**columns, "y": np.arange(rows) % 2})
    with only_errors():
        return fit({**SETTINGS, **settings}, train=frame, progress=False), frame


def nothing():
    train({"x": np.arange(100.0)}, 100)


def a_million_values():
    n = 10**6
    values = pl.Series(np.random.default_rng(0).permutation(n)).cast(pl.String)
    model, frame = train({"u": values}, n, features={"u": "categorical"})
    assert model.encoder.rows == [n + 2]
    assert len(model(frame[:100])) == 100


def a_thousand_columns():
    n = 500
    draw = np.random.default_rng(0)
    columns = {f"c{i}": draw.normal(size=n) for i in range(500)}
    columns |= {f"u{i}": draw.integers(0, 9, n).astype(str) for i in range(500)}
    model, frame = train(columns, n)
    assert len(model.encoder.names) == 1000
    assert len(model(frame)) == n


def a_thousand_tasks():
    n = 64
    labels = {f"t{i}": np.random.default_rng(i).permutation(np.arange(n) % 2) for i in range(1000)}
    model, frame = train({"x": np.arange(n) * 1.0, **labels}, n, tasks=dict.fromkeys(labels, "binary"), features=X)
    assert model(frame).shape == (n, 1000)


def a_batch_larger_than_the_table():
    training = {**SETTINGS["training"], "batch_size": 10**12}
    model, frame = train({"x": np.arange(1000.0)}, 1000, training=training)
    assert len(model(frame)) == 1000


def values_of_10_megabytes():
    values = [letter * (10 << 20) for letter in "ab"] * 10
    model, frame = train({"u": values}, 20, features={"u": "categorical"})
    assert model.encoder.rows == [4]
    assert len(model(frame)) == 20


X = {"x": "numeric"}
TOO_LARGE = {
    "network.sharing.hidden [1000000000]": {"network": {"sharing": {"hidden": [10**9]}}},
    "network.sharing.experts 1000000": {"network": {"sharing": {"kind": "mmoe", "experts": 10**6}}},
    "network.sharing.specific 1000000": {"network": {"sharing": {"kind": "ple", "specific": 10**6}}},
    "network.sharing.hidden [1000000000, 8]": {"network": {"sharing": {"kind": "single", "hidden": [10**9, 8]}}},
    "network.sharing.hidden [1000000000000000000000]": {"network": {"sharing": {"hidden": [10**21]}}},
    "network.towers.hidden [100000000000]": {"network": {"towers": {"hidden": [10**11]}}},
    "network.numbers.dim 100000000000": {"network": {"numbers": {"kind": "piecewise", "dim": 10**11}}},
    "features.x.dim 100000000000": {"features": {"x": {"kind": "categorical", "dim": 10**11}}},
    "features.x, 2,000,000,002 rows": {"features": {"x": {"kind": "hashed", "rows": 2 * 10**9, "dim": 64}}},
}


def networks_too_large():
    for key, settings in TOO_LARGE.items():
        with pytest.raises(UserError) as found:
            train({"x": np.arange(100)}, 100, **({"features": X} | settings))
        words = str(found.value)
        assert words.startswith(f"{key}: the network wants "), words
        assert "and this machine has" in words
        assert words.endswith("; make it smaller")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:]:
        globals()[name]()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10))
