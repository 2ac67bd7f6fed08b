"""Whole diagnoses: of planted faults, of sound trainings, of runs."""

import importlib.util
import json
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

import trunkline
from trunkline import UserError, diagnose, fit
from trunkline.datasets import feed
from trunkline.insight.diagnosis.diagnose import BRIEF
from trunkline.insight.diagnosis.findings import DETECTORS, QUALITY


def benchmark():
    path = Path(__file__).parents[3] / "benchmarks" / "planted.py"
    spec = importlib.util.spec_from_file_location("planted", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["planted"] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    return module


planted = benchmark()
ROWS = 20_000


@pytest.mark.parametrize(("seed", "name"), list(enumerate(planted.PLANTS)), ids=list(planted.PLANTS))
def test_a_planted_fault_is_found(seed, name):
    plant = planted.PLANTS[name]
    found = planted.diagnosed(plant, seed, ROWS)
    assert plant.found(found, seed), str(found)
    assert found.findings[0].kind == plant.kind, str(found)
    assert [f.weight for f in found.findings] == sorted((f.weight for f in found.findings), reverse=True)


@pytest.mark.parametrize(("seed", "name"), [(0, "clean"), (1, "clean"), (2, "clean, with experts")])
def test_a_sound_training_has_no_findings(seed, name):
    found = planted.diagnosed(planted.CLEAN[name], seed, ROWS)
    assert found.findings == ()
    assert str(found).startswith("nothing found\nlooked at: ")
    assert len(found.looked) == len([d for d in DETECTORS if d.needs != QUALITY]) - (name == "clean")
    assert found.skipped == (BRIEF,)


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(240, seed=0), "valid": make_rows(130, seed=1), "test": make_rows(90, seed=2)}


def test_a_diagnosis_leaves_no_trace(parts, settings):
    before = torch.get_rng_state()
    texts = {str(diagnose(settings, **parts, steps=12)) for _ in range(2)}
    assert len(texts) == 1
    assert torch.get_rng_state().equal(before)


def test_everything_is_json(parts, settings):
    found = diagnose(settings, **parts, steps=12, overrides={"optimizer.lr": 3.0})
    raw = json.loads(found.to_json())
    assert raw["findings"]
    assert [finding["kind"] for finding in raw["findings"]] == [finding.kind for finding in found.findings]


def test_without_validation_rows_the_rest_is_looked_at(parts, settings):
    found = diagnose(settings, train=parts["train"], steps=12)
    assert "dead units of ReLU layers" in found.looked
    assert "columns that give a label away" in found.skipped
    assert found.skipped[-2:] == ("there are no validation rows", BRIEF)
    assert "not looked at: " in str(found)


def test_a_loss_that_is_no_number_is_a_finding(parts, settings):
    changes = {"optimizer": {"name": "sgd", "lr": 0.01, "subnets": {"tower.dwell": {"lr": 1e30}}}}
    found = diagnose(settings, **parts, steps=12, overrides=changes)
    assert found.findings[0].kind == "broken_loss"
    assert found.findings[0].subject == "dwell"
    assert "tower.dwell" in found.findings[0].remedy


def test_a_brief_training_is_no_longer_than_the_whole(parts, settings):
    """240 rows in batches of 50 for 2 epochs are 10 steps."""
    assert str(diagnose(settings, **parts, steps=10)) == str(diagnose(settings, **parts, steps=500))


def test_ids_and_columns_that_move_are_told(parts, settings):
    later = {
        part: frame.with_columns(item=pl.int_range(pl.len()) + 2**61, price=pl.col("price") + 30)
        for part, frame in parts.items()
        if part != "train"
    }
    found = {f.kind: f for f in diagnose(settings, train=parts["train"], **later, steps=12).findings}
    assert found["unseen_ids"].subject == "item"
    assert {f for f in found if f == "drift"}
    assert "hour" not in found["drift"].subject


def run_of(folder, parts, settings, **changes):
    for part, frame in parts.items():
        frame.write_parquet(folder / f"{part}.parquet")
    settings["data"] = {part: str(folder / f"{part}.parquet") for part in parts}
    fit(settings, out=folder / "run", overrides=changes)
    return folder / "run"


def test_a_run_is_diagnosed_from_what_it_left(tmp_path, parts, settings):
    changes = {"balance.objective": "uncertainty", "training.epochs": 6, 'optimizer.subnets."tower.click".lr': 3.0}
    run = run_of(tmp_path, parts, settings, **changes)
    files = {path.name: path.stat().st_mtime_ns for path in run.rglob("*")}
    found = diagnose(run)
    assert "tower.click[0]" in [f.subject for f in found.findings if f.kind == "dead_units"], str(found)
    assert found.skipped == ()
    assert "towers still learning while others overfit" in found.looked
    assert files == {path.name: path.stat().st_mtime_ns for path in run.rglob("*")}


def test_a_run_whose_rows_are_gone_tells_what_it_can(tmp_path, parts, settings):
    sharing = {"kind": "dselect_k", "experts": 6, "k": 1, "hidden": [6]}
    run = run_of(tmp_path, parts, settings, **{"network.sharing": sharing, "balance.objective": "uncertainty"})
    (tmp_path / "train.parquet").unlink()
    found = diagnose(run)
    assert {"experts that no gate uses", "learned σ at its bound"} <= set(found.looked)
    assert "the run's rows are not there" in found.skipped[-1]
    assert "train.parquet" in found.skipped[-1]
    assert len(diagnose(run, **parts).looked) > len(found.looked)


def test_what_cannot_be_diagnosed_is_said(tmp_path, parts, settings):
    with pytest.raises(UserError, match="at least 1"):
        diagnose(settings, **parts, steps=0)
    with pytest.raises(UserError, match="no run folder"):
        diagnose(tmp_path)
    with pytest.raises(UserError, match="nothing to set"):
        diagnose(tmp_path, overrides={"optimizer.lr": 1})
    with pytest.raises(UserError, match="price"):
        diagnose(settings, **{part: frame.drop("price") for part, frame in parts.items()})


def test_it_is_there_when_it_is_asked_for():
    assert trunkline.Diagnosis.__name__ == "Diagnosis"
    assert feed.FEATURES  # the benchmark's rows
