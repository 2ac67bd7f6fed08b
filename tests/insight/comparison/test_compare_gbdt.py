"""Gradient-boosted trees beside networks."""

import builtins
import json

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from trunkline import UserError, compare
from trunkline.insight.comparison import gbdt as trees


@pytest.fixture
def frames(make_rows):
    return {part: make_rows(size, seed=seed) for seed, (part, size) in enumerate(SIZES.items())}


SIZES = {"train": 400, "valid": 200, "test": 300}


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch):
    monkeypatch.setattr(trees, "_ROUNDS", 20)


def test_trees_of_every_kind_of_task(settings, frames, tmp_path):
    frames = {
        part: frame.with_columns(
            shares=(pl.col("price").fill_null(0) / 4).floor().clip(0, 9),
            stars=(pl.col("price").fill_null(0) / 5).floor().clip(0, 3),
            spent=pl.when(pl.col("buy") == 1).then(pl.col("dwell")).otherwise(0.0),
        )
        for part, frame in frames.items()
    }
    settings["tasks"] = {
        "click": "binary",
        "dwell": {"kind": "lognormal", "where": "click", "weight": "importance"},
        "topic": "multiclass",
        "shares": "poisson",
        "stars": "ordinal",
        "spent": "zero_inflated_lognormal",
        "seconds": {"kind": "laplace", "label": "dwell"},
    }
    settings["training"] |= {"epochs": 1, "batch_size": 400}
    found = compare(settings, seeds=2, jobs=1, with_trees=True, out=tmp_path, **frames)
    grown = found["trees"]

    assert [network.kind for network in found.networks] == ["alone", "network", "trees"]
    assert not grown.missing
    assert list(grown.tasks) == list(settings["tasks"])
    assert grown.parameters is None
    assert grown.cpu_seconds > 0
    assert all(list(task.seeds) == ["0"] for task in grown.tasks.values())  # they do not depend on it
    assert all(task.change.low is not None for task in grown.tasks.values())
    assert found.verdicts == 2 * (7 + 1)
    assert grown.tasks["stars"].mean.value > 0.9  # the feature that makes it is there
    assert not any(name == "trees" for name, _ in found.gains)
    facts = json.loads((tmp_path / "runs" / "trees.click" / "metrics.json").read_text())
    assert facts["rounds"] in (10, 20)
    assert facts["valid"]["click"]["auc"] == pytest.approx(grown.tasks["click"].valid)


def test_trees_are_scikit_learns_on_the_same_columns(frames, tmp_path):
    frames = {part: frame.filter(pl.col("price").is_not_null()) for part, frame in frames.items()}
    settings = {
        "data": {"store": "none"},
        "features": {"price": "numeric"},
        "tasks": {"click": "binary"},
        "training": {"epochs": 1, "device": "cpu"},
        "network": {"sharing": {"hidden": [4]}},
    }
    found = compare(settings, seeds=1, jobs=1, with_trees=True, out=tmp_path, **frames)
    rounds = json.loads((tmp_path / "runs" / "trees.click" / "metrics.json").read_text())["rounds"]
    price, click = ({part: frame[name].to_numpy() for part, frame in frames.items()} for name in ("price", "click"))
    theirs = HistGradientBoostingClassifier(max_iter=rounds, early_stopping=False)
    theirs.fit(price["train"][:, None], click["train"])
    wanted = roc_auc_score(click["test"], theirs.decision_function(price["test"][:, None]))
    assert found["trees"].tasks["click"].mean.value == pytest.approx(wanted, abs=0.01)


def test_frequent_values_keep_codes_of_their_own():
    ids = np.repeat(np.arange(400), np.arange(400))  # 0 does not occur, 399 is the most frequent
    codes = trees._codes(ids)
    assert codes[399] == 0
    assert codes[146] == 253
    assert (codes[:146] == 254).all()
    assert codes[-1] == 254  # an id beyond those of the training rows
    assert len(codes) == 401


def test_without_scikit_learn_it_is_said_before_anything_is_trained(settings, frames, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'trunkline\[trees\]'"):
        compare(settings, seeds=1, with_trees=True, out=tmp_path / "c", **frames)
    assert not (tmp_path / "c").exists()
