"""What the shipped configs reach on real rows; see examples/ for what the rows are."""

import os
from pathlib import Path

import pytest

from trunkline import fit
from trunkline.datasets import dataset

EXAMPLES = Path(__file__).parents[1] / "examples"
DATA = os.environ.get("TRUNKLINE_DATA")
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(
        not DATA, reason="TRUNKLINE_DATA names no folder with census_income_kdd and kuairand_pure_window"
    ),
]


def train(name, config, mirror, folder, overrides):
    written = dataset(name).write(folder / "data", Path(DATA) / mirror)
    files = {f"data.{part}": str(path) for part, path in written.items()}
    return fit(EXAMPLES / config, overrides={**files, **overrides}, out=folder / "run").metrics


def test_census_income(tmp_path):
    metrics = train("census-income", "census_income/census.yaml", "census_income_kdd", tmp_path, {})

    auc = {task: scores["auc"] for task, scores in metrics["test"].items()}
    assert auc["income"] >= 0.945
    assert auc["never_married"] >= 0.990
    assert auc["college"] >= 0.900
    assert {scores["rows"] for scores in metrics["test"].values()} == {49_881}


@pytest.fixture(scope="module")
def kuairand(tmp_path_factory):
    overrides = {"without": {}, "with": {"tasks.play_time": "regression"}}
    return {
        name: train(
            "kuairand-pure", "kuairand/kuairand.yaml", "kuairand_pure_window", tmp_path_factory.mktemp(name), change
        )["test"]
        for name, change in overrides.items()
    }


@pytest.mark.parametrize(
    ("task", "least"), [("click", 0.70), ("long_view", 0.70), ("like", 0.77), ("profile_enter", 0.69)]
)
def test_kuairand(kuairand, task, least):
    assert kuairand["without"][task]["auc"] >= least


def test_play_time_on_the_same_trunk_costs_no_task_more_than_a_hundredth(kuairand):
    without, beside = kuairand["without"], kuairand["with"]
    for task, scores in without.items():
        assert beside[task]["auc"] >= scores["auc"] - 0.01, task
    assert beside["play_time"]["r2"] > 0.05
