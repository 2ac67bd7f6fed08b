"""Estimates are float64 of every kind of task, in frames and in files."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from trunkline import fit
from trunkline.inference.sink import write_stream

KINDS = ("regression", "laplace", "huber", "lognormal", "zero_inflated_lognormal", "poisson", "negative_binomial",
         "quantile", "mixture_density")  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(0)
    x = draw.normal(size=180)
    click = (x + draw.normal(size=180) > 0).astype(int)
    return pl.DataFrame(
        {"x": x, "click": click, "buy": click * draw.integers(0, 2, 180), "count": draw.poisson(2.0, 180) + 1.0}
        | {"topic": draw.integers(0, 3, 180), "stars": draw.integers(1, 5, 180)}
    )


@pytest.fixture(scope="module")
def model(rows):
    tasks = {
        "click": {"kind": "binary", "calibrate": "isotonic"},
        "buy": {"kind": "binary", "space": "click"},
        "topic": "multiclass",
        "stars": "ordinal",
        **{kind: {"kind": kind, "label": "count"} for kind in KINDS},
    }
    config = {
        "features": {"x": "numeric"},
        "tasks": tasks,
        "training": {"epochs": 1, "batch_size": 30, "device": "cpu"},
    }
    pytest.importorskip("sklearn")
    return fit(config, train=rows, valid=rows)


def test_all_numbers_that_are_no_classes_are_float64(model, rows, tmp_path):
    estimates = model(rows)
    types = {name: kind for name, kind in estimates.schema.items() if name not in ("topic", "stars")}
    assert len(types) >= 20
    assert set(types.values()) == {pl.Float64}
    rows.write_parquet(tmp_path / "rows.parquet")
    write_stream(model.iter(tmp_path / "rows.parquet"), tmp_path / "made.parquet")
    assert pl.read_parquet_schema(tmp_path / "made.parquet") == estimates.schema
    brought = model(pd.DataFrame(rows.to_dict(as_series=False)))
    assert all(brought[name].dtype == np.float64 for name in types)


def test_probabilities_next_to_certain_do_not_become_certain(model, rows):
    import torch

    raw = torch.tensor([[20.0], [-20.0], [30.0]]).double()
    (click,) = model._columns(model.network.tasks[0], raw)
    assert click[0] == pytest.approx(1 / (1 + np.exp(-20.0)), rel=1e-12)
    assert click[0] < 1
    assert click[2] < 1
