"""What a prediction shows of each kind of task."""

import numpy as np
import polars as pl
import pytest
import torch

from trunkline import fit
from trunkline.inference.residual_scale import residual_scales
from trunkline.metrics import METRICS
from trunkline.tasks import TASK_KINDS, Ordinal

LABELS = {
    "binary": "click",
    "multiclass": "topic",
    "ordinal": "topic",
    "poisson": "visits",
    "negative_binomial": "visits",
    "zero_inflated_lognormal": "revenue",
}


@pytest.fixture(scope="module")
def parts(make_rows):
    def rows(n, seed):
        draw = np.random.default_rng(seed)
        frame = make_rows(n, seed=seed).with_columns(pl.col("topic").fill_null("art"), pl.col("dwell").fill_null(20))
        return frame.with_columns(
            visits=pl.Series(draw.poisson(2, n)),
            revenue=pl.when(pl.Series(draw.random(n) < 0.5)).then(pl.col("dwell")).otherwise(0.0),
            buy=pl.col("buy") * pl.col("click"),
        )

    return {"train": rows(160, 0), "valid": rows(80, 1)}


@pytest.fixture(scope="module")
def model(parts):
    """A task of every kind, named after it."""
    tasks = {kind: {"kind": kind, "label": LABELS.get(kind, "dwell")} for kind in TASK_KINDS}
    tasks["ordinal"]["levels"] = ["art", "news", "sport"]
    tasks["buy"] = {"kind": "binary", "space": "binary"}
    config = {
        "features": {"price": "numeric", "user": "categorical"},
        "tasks": tasks,
        "network": {"sharing": {"hidden": [6]}, "towers": {"hidden": []}},
        "training": {"epochs": 1, "batch_size": 40, "device": "cpu"},
    }
    return fit(config, **parts)


def test_every_task_has_its_columns_in_order(model, parts):
    made = model(parts["valid"])
    expected = []
    for task in model.network.tasks:
        if task.kind == "multiclass":
            expected += ["multiclass", *(f"multiclass_{topic}" for topic in ("art", "news", "sport"))]
        else:
            suffixes = list(task.details(torch.zeros(1, task.outputs)))
            expected += [task.name, *(f"{task.name}_{suffix}" for suffix in suffixes)]
        expected += [f"{task.name}_sigma"] if task.residual_scale else []
        expected += [f"{task.name}_given_{task.space}"] if task.space else []
    assert made.columns == expected
    assert len(made) == len(parts["valid"])
    assert made.drop("multiclass").null_count().sum_horizontal().item() == 0
    empty = model(parts["valid"].head(0))
    assert empty.schema == made.schema


def test_an_interval_encloses_what_it_says(model, parts):
    """And holds the share of labels that the metric reports."""
    made, label = model(parts["valid"]), parts["valid"]
    with_interval = [name.removesuffix("_low") for name in made.columns if name.endswith("_low")]
    assert {"lognormal", "mixture_density", "zero_inflated_lognormal"} <= set(with_interval)
    for name in with_interval:
        low, high = made[f"{name}_low"], made[f"{name}_high"]
        assert (low <= high).all(), name
        if "coverage" in model.metrics["valid"][name]:
            values = label[LABELS.get(name, "dwell")]
            found = ((values >= low) & (values <= high)).mean()
            assert model.metrics["valid"][name]["coverage"] == pytest.approx(found, abs=0.02), name
    assert "coverage" in METRICS


def test_sigma_is_measured_where_the_likelihood_has_none(model, parts):
    tasks = [task for task in model.network.tasks if task.residual_scale]
    assert {task.kind for task in tasks} == {"regression", "laplace", "huber"}
    made = model(parts["valid"])
    for task in tasks:
        error = (made[task.name] - parts["valid"]["dwell"]).to_numpy()
        assert made[f"{task.name}_sigma"].unique().to_list() == [model.metrics["valid"][task.name]["rmse"]]
        assert made[f"{task.name}_sigma"][0] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)
    scores = {task.name: {"rmse": float(i)} for i, task in enumerate(model.network.tasks)}
    assert set(residual_scales(model.network.tasks, scores)) == {task.name for task in tasks}
    assert residual_scales(model.network.tasks, None) == {}


def test_a_level_of_text_is_shown_by_its_place(model, parts):
    (task,) = [task for task in model.network.tasks if isinstance(task, Ordinal)]
    made = model(parts["valid"])
    assert task.values == ("art", "news", "sport")
    assert made["ordinal"].is_between(0, 2).all()
    assert set(made["ordinal_mode"].to_list()) <= {0.0, 1.0, 2.0}


def test_a_task_of_a_space_shows_both_probabilities(model, parts):
    made = model(parts["valid"])
    product = made["binary"].cast(pl.Float64) * made["buy_given_binary"].cast(pl.Float64)
    np.testing.assert_allclose(made["buy"].to_numpy(), product.to_numpy(), rtol=1e-5)
