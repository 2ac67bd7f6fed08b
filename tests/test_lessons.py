"""The lessons the project exists for, on a feed whose truth is known."""

import pytest

from trunkline import fit
from trunkline.datasets import feed

CONFIG = {
    "features": {
        "user": {"kind": "categorical", "min_count": 5},
        "item": "categorical",
        "category": "categorical",
        "device": "categorical",
        "price": {"kind": "numeric", "log": True},
        "age": "numeric",
        "returning": "boolean",
        "time": "datetime",
    },
    "tasks": {
        "click": "binary",
        "dwell": {"kind": "regression", "where": "click", "standardize": False},
    },
    "network": {"sharing": {"hidden": [64, 32]}, "towers": {"hidden": [16]}},
    # Raw seconds lie far from where a tower starts, whatever merges the losses: lesson 2 gives that tower its own rate.
    "optimizer": {"lr": 0.002, "subnets": {"tower.dwell": {"lr": 0.1}}},
    "training": {"epochs": 6, "batch_size": 512, "patience": None, "select": "click.auc"},
}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sum_starves_click_beside_dwell_in_raw_seconds_and_uncertainty_does_not(seed):
    parts = feed.split(feed.simulate(20_000, seed=seed))
    auc, dwell = {}, {}
    for objective in ("sum", "uncertainty"):
        model = fit(CONFIG, overrides={"balance.objective": objective, "training.seed": seed}, **parts)
        scores = model.metrics["test"]
        auc[objective], dwell[objective] = scores["click"]["auc"], scores["dwell"]["spearman"]

    assert auc["sum"] < 0.56  # hardly more than chance
    assert auc["uncertainty"] > 0.62
    assert auc["uncertainty"] - auc["sum"] > 0.1
    assert dwell["uncertainty"] > 0.1  # and dwell still learns
