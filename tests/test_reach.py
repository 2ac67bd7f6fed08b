"""What the shipped configs reach on real rows; see examples/ for what the rows are."""

import os
from pathlib import Path

import polars as pl
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


HISTORIES = {
    "features.watched": {"kind": "sequence", "target": "video_id", "length": 20, "pool": "attention"},
    "features.liked": {"kind": "sequence", "target": "video_id"},
    "features.long_watched": {"kind": "sequence", "target": "video_id", "length": 20},
}
"""Videos of the weeks before, in the table of the videos' own vectors."""


def with_histories(files, folder):
    table = pl.read_parquet(Path(DATA) / "kuairand_pure_window" / "user_history_to_2022-04-24.parquet")
    table = table.select("user_id", watched="watch_seq", liked="like_seq", long_watched="long_watch_seq")
    for part, path in files.items():
        joined = pl.read_parquet(path).join(table, on="user_id", how="left", maintain_order="left")
        joined.write_parquet(folder / f"{part}.parquet")
    return {f"data.{part}": str(folder / f"{part}.parquet") for part in files}


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


def test_histories_tell_of_clicks_and_likes(kuairand, tmp_path):
    written = dataset("kuairand-pure").write(tmp_path / "data", Path(DATA) / "kuairand_pure_window")
    overrides = {**with_histories(written, tmp_path), **HISTORIES, "training.epochs": 5}
    metrics = fit(EXAMPLES / "kuairand/kuairand.yaml", overrides=overrides, out=tmp_path / "run").metrics
    for task, better in (("click", 0.005), ("long_view", 0.005), ("like", 0.005)):
        assert metrics["test"][task]["auc"] >= kuairand["without"][task]["auc"] + better, task


def test_play_time_on_the_same_trunk_costs_no_task_more_than_a_hundredth(kuairand):
    without, beside = kuairand["without"], kuairand["with"]
    for task, scores in without.items():
        assert beside[task]["auc"] >= scores["auc"] - 0.01, task
    assert beside["play_time"]["r2"] > 0.05
