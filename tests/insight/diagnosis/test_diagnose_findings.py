"""Each detector, from observations made by hand: what it reports, where it stays silent, and what it would change."""

import json
import math
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml

from trunkline.balance.objectives.log_scale_clamp import LIMIT
from trunkline.config import Config
from trunkline.insight.diagnosis.findings import DETECTORS, OF_ROWS, Judged, Observations
from trunkline.insight.diagnosis.measures.dead_units import Layer
from trunkline.insight.diagnosis.measures.repeats import Repeats
from trunkline.insight.quality.task_quality import Calibration, LabelShape, TaskQuality
from trunkline.insight.statistics.intervals import Interval

TASKS = ("click", "dwell", "buy")
RAW = {
    "tasks": {"click": "binary", "dwell": {"kind": "regression", "standardize": False}, "buy": "binary"},
    "balance": {"objective": "sum"},
    "optimizer": {"lr": 0.002, "subnets": {"tower.*": {"lr": 0.3}}},
}


def seen(changes=None, **what):
    return Observations(config=Config.make(RAW, overrides=changes), tasks=TASKS, **what)


def found(observations):
    return [
        finding
        for detector in DETECTORS
        if getattr(observations, detector.needs) is not None
        for finding in detector.find(observations)
    ]


def pull(*norms, cosine=0.0, steps=20):
    """Products of three gradients of these norms, of which the first two have a cosine."""
    norms = torch.tensor(norms, dtype=torch.float64)
    cosines = torch.eye(3, dtype=torch.float64)
    cosines[0, 1] = cosines[1, 0] = cosine
    return (norms[:, None] * norms[None, :] * cosines).expand(steps, 3, 3).clone()


GATES = {
    "gate.click": {"entropy": 0.1, "use": {"shared.0": 0.995, "shared.1": 0.004, "shared.2": 0.001}},
    "gate.buy": {"entropy": 0.9, "use": {"shared.0": 0.5, "shared.1": 0.495, "shared.2": 0.005}},
}
UP, PEAK = [-10.0, -9.0, -8.0, -7.0, -6.0, -5.0], [-10.0, -2.0, -1.0, -3.0, -4.0, -5.0]
ONCE = Repeats(900, 0.3, 0.0, 0.0, 0.01, copied=False)
"""Rows that repeat often, as those of a table with few values do."""


def quality(task, **what):
    """Of a sound binary task, but for what is given."""
    sound = {
        "kind": "binary",
        "headline": "auc",
        "rows": 5000,
        "score": Interval(0.8, 0.79, 0.81, 0.005),
        "constant": 0.5,
        "base": 0.3,
        "r2": None,
        "linear": 0.78,
        "ahead": Interval(0.02, 0.01, 0.03, 0.005),
        "calibration": Calibration(ratio=1.01, error=0.01, ece=0.01, chance=0.009),
        "measure": "log_loss",
        "epochs": (0.5, 0.45, 0.451),
        "error": 0.002,
        "better": False,
        "constant_measure": 0.61,
        "headlines": (0.7, 0.8, 0.79),
        "losses": (0.5, 0.45, 0.4),
        "selected": 1,
        "label": LabelShape(rows=20_000, zeros=0.7, negative=False, whole=True, spread=2.0),
    }
    return {task: TaskQuality(task=task, **{**sound, **what})}


NUMBER = {"kind": "regression", "headline": "r2", "constant": 0.0, "base": None, "calibration": None}
ZEROS = LabelShape(rows=20_000, zeros=0.9, negative=False, whole=False, spread=20.0)
FAULTS = {
    "no_better_than_constant": {"quality": quality("click", score=Interval(0.505, 0.49, 0.52, 0.01))},
    "worse_than_linear": {"quality": quality("buy", linear=0.83, ahead=Interval(-0.03, -0.04, -0.02, 0.005))},
    "overfitting": {"quality": quality("click", epochs=(0.45, 0.5, 0.55))},
    "miscalibrated": {"quality": quality("buy", calibration=Calibration(ratio=1.2, error=0.02, ece=0.01, chance=0.01))},
    "small_validation": {"quality": quality("click", score=Interval(0.8, 0.6, 0.95, 0.1))},
    "falls_on_test": {"quality": quality("buy", test=Interval(0.7, 0.68, 0.72, 0.01))},
    "zeros_under_squares": {
        "quality": quality(
            "dwell", **NUMBER, score=Interval(0.3, 0.28, 0.32), r2=Interval(0.3, 0.28, 0.32), label=ZEROS
        )
    },
    "dominance": {"pulls": {"shared": pull(1.0, 200.0, 2.0)}},
    "conflict": {"pulls": {"shared": pull(1.0, 2.0, 1.0, cosine=-0.5)}},
    "dead_units": {"layers": [Layer("shared", 0, 20, 64, 100), Layer("tower.buy", 1, 30, 32, 100)]},
    "slow_tower": {"curves": {"click": PEAK, "buy": UP}},
    "unused_experts": {"gates": GATES},
    "clamped_sigma": {"sigma": {"click": 1.0, "dwell": math.exp(LIMIT / 2), "buy": 0.5}},
    "rare_labels": {"judged": {"click": Judged(0.7, 900, 900), "buy": Judged(0.7, 12, 900)}},
    "leak": {"alone": {"price": {"click": 0.6}, "user": {"click": 0.7, "buy": 0.5}, "late": {"click": 0.995}}},
    "unseen_ids": {"unseen": {"user": {"train": 0.0, "valid": 0.1, "test": 0.5}, "item": {"valid": 0.1}}},
    "drift": {"shifts": {"price": {"valid": 0.1, "test": 0.9}, "age": {"valid": 0.1}}},
    "broken_loss": {"broken": (("buy",), 7)},
    "constant_columns": {"constants": ["price"]},
    "missing": {"missing": {"price": {"train": 0.1, "valid": 0.1, "test": 0.6}, "age": {"train": 0.9, "test": 0.8}}},
    "unique_ids": {"singles": {"session": 0.97, "user": 0.6}},
    "repeated_rows": {"repeats": {"valid": ONCE, "test": Repeats(900, 0.3, 0.2, 0.01, 0.01, copied=False)}},
}
SUBJECTS = {
    "no_better_than_constant": "click",
    "worse_than_linear": "buy",
    "overfitting": "click",
    "miscalibrated": "buy",
    "small_validation": "click",
    "zeros_under_squares": "dwell",
    "falls_on_test": "buy",
    "dominance": "dwell",
    "conflict": "click, dwell",
    "dead_units": "tower.buy[1]",
    "slow_tower": "tower.buy",
    "unused_experts": "shared.2",
    "clamped_sigma": "dwell",
    "rare_labels": "buy",
    "leak": "late",
    "unseen_ids": "user",
    "drift": "price",
    "broken_loss": "buy",
    "constant_columns": "price",
    "missing": "price",
    "unique_ids": "session",
    "repeated_rows": "test",
}
SOUND = {
    "quality": {
        **quality("click"),
        **quality("dwell", **NUMBER, score=Interval(0.3, 0.28, 0.32), r2=Interval(0.3, 0.28, 0.32)),
    },
    "pulls": {"shared": pull(1.0, 5.0, 2.0, cosine=-0.1), "embedding": pull(0.0, 5.0, 2.0)},
    "layers": [Layer("shared", 0, 20, 64, 100), Layer("tower.buy", 0, 2, 2, 100)],
    "curves": {"click": UP, "buy": UP, "dwell": PEAK[:3]},
    "gates": {"gate.buy": {"entropy": 0.9, "use": {"shared.0": 0.6, "shared.1": 0.4}}},
    "sigma": {"click": 1.0, "dwell": 12.0, "buy": 0.01},
    "judged": {"click": Judged(0.7, 100, 900)},
    "alone": {"price": {"click": 0.6}, "user": {"click": 0.97}},
    "unseen": {"user": {"train": 0.3, "valid": 0.1}},
    "shifts": {"price": {"valid": 0.2}},
    "constants": [],
    "missing": {"price": {"train": 0.94, "valid": 0.72}, "age": {"train": 0.0}},
    "singles": {"user": 0.8},
    "repeats": {"valid": ONCE, "test": Repeats(900, 0.05, 0.05, 0.0, 0.01, copied=True)},
}


def test_every_detector_has_a_fault_here():
    assert len(FAULTS) == len(SUBJECTS) == len(DETECTORS)
    assert FAULTS.keys() > OF_ROWS


def test_every_kind_is_documented():
    text = (Path(__file__).parents[3] / "docs" / "insight.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(FAULTS)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_alone_with_figures_and_a_line_of_the_config(kind):
    (finding,) = found(seen(**FAULTS[kind]))

    assert (finding.kind, finding.subject) == (kind, SUBJECTS[kind])
    assert 0 < finding.weight <= 1
    assert any(digit in finding.sentence for digit in "0123456789")
    assert json.loads(json.dumps(asdict(finding), allow_nan=False))["evidence"]
    assert isinstance(yaml.safe_load(finding.remedy), dict)


def test_what_is_sound_gives_nothing():
    assert found(seen(**SOUND)) == []


@pytest.mark.parametrize(
    ("kind", "changes", "remedy"),
    [
        ("dominance", {}, "tasks.dwell.standardize: true"),
        ("dominance", {"tasks.dwell": "regression"}, "balance.objective: uncertainty"),
        ("dominance", {"tasks.dwell": "regression", "balance.objective": "dwa"}, "balance.gradients: imtl_g"),
        ("conflict", {}, "balance.gradients: upgrad"),
        ("conflict", {"balance.gradients": "pcgrad"}, "network.sharing.kind: cgc"),
        ("dead_units", {}, 'optimizer.subnets: {"tower.buy": {lr: 0.01}}'),
        ("slow_tower", {'optimizer.subnets."tower.buy".lr': 0.0001}, 'optimizer.subnets: {"tower.buy": {lr: 0.0003}}'),
        ("unused_experts", {"network.sharing": "mmoe"}, "network.sharing.experts: 2"),
        ("unused_experts", {"optimizer.subnets": {"gate.*": {"lr": 0.3}}}, 'optimizer.subnets: {"gate.*": {lr: 0.01}}'),
        ("clamped_sigma", {}, "tasks.dwell.standardize: true"),
        ("leak", {}, "data.ignore: [late]"),
        ("unseen_ids", {}, "features.user.min_count: 2"),
        ("unique_ids", {}, "data.ignore: [session]"),
        ("unique_ids", {"features": {"session": "categorical"}}, "features.session: null"),
        ("rare_labels", {}, "data.split: {by: random, valid: 0.3}  # of all rows, instead of data.valid"),
        (
            "rare_labels",
            {"data.split": {"by": "random", "valid": 0.25}},
            "training.select: click.auc  # no share of these rows tells buy well enough",
        ),
        ("repeated_rows", {}, "data.test: without the rows of data.train"),
    ],
)
def test_the_remedy_fits_the_config(kind, changes, remedy):
    (finding,) = found(seen(changes, **FAULTS[kind]))
    assert finding.remedy == remedy


def test_two_loud_tasks_drown_the_third():
    (finding,) = found(seen(pulls={"shared": pull(1.0, 200.0, 300.0)}))
    assert finding.subject == "buy, dwell"
    assert finding.evidence["drowned"] == ["click"]


def test_norms_count_over_all_shared_subnets_together():
    assert found(seen(pulls={"shared": pull(1.0, 50.0, 2.0), "embedding": pull(20.0, 0.0, 9.0)})) == []


def test_a_task_that_has_learned_all_it_can_is_not_drowned():
    early, late = pull(1.0, 2.0, 1.0), pull(1e-3, 2.0, 1.0)
    assert found(seen(pulls={"shared": torch.cat([early, late])})) == []


def test_a_conflict_tells_every_subnet_and_needs_enough_steps():
    pulls = {"shared": pull(1.0, 2.0, 1.0, cosine=-0.3), "embedding": pull(1.0, 2.0, 1.0, cosine=-0.6)}
    (finding,) = found(seen(pulls=pulls))
    assert finding.evidence.keys() == {"shared", "embedding"}
    assert finding.remedy == "balance: {gradients: upgrad, at: parameters}"
    assert found(seen(pulls={name: one[:9] for name, one in pulls.items()})) == []


def test_a_conflict_in_half_of_the_steps_is_none():
    apart, along = pull(1.0, 2.0, 1.0, cosine=-0.9), pull(1.0, 2.0, 1.0, cosine=0.1)
    assert found(seen(pulls={"shared": torch.cat([apart, along])})) == []


def test_a_task_without_both_labels_cannot_be_judged_at_all():
    (finding,) = found(seen(judged={"buy": Judged(None, 0, 500)}))
    assert finding.evidence["interval"] == [0.0, 1.0]


def test_where_every_column_predicts_the_task_none_leaks():
    assert found(seen(alone={name: {"click": 0.99 - i / 50} for i, name in enumerate("abcde")})) == []


def test_two_columns_can_leak_and_one_can_give_two_tasks_away():
    alone = {"a": {"click": 0.99}, "b": {"click": 1.0, "buy": 0.985}, "c": {"click": 0.6, "buy": 0.6}}
    assert [(f.subject, f.evidence["task"]) for f in found(seen(alone=alone))] == [
        ("a", "click"),
        ("b", "click"),
        ("b", "buy"),
    ]


def test_slow_needs_somebody_who_overfits():
    assert found(seen(curves={"click": UP, "buy": UP})) == []
    assert found(seen(curves={"click": PEAK, "buy": PEAK})) == []


def test_drift_tells_the_worst_few():
    shifts = {f"x{i}": {"valid": 0.3 + i / 10} for i in range(9)}
    assert [finding.subject for finding in found(seen(shifts=shifts))] == ["x8", "x7", "x6", "x5", "x4"]


def test_constant_columns_are_one_finding():
    (finding,) = found(seen(constants=[f"x{i}" for i in range(20)]))
    assert "x7 and 12 more have 1 value" in finding.sentence
    assert finding.evidence["columns"][-1] == "x19"


def test_a_column_that_is_never_there_is_told_once_and_weighs_little():
    gone, empty = found(seen(missing={"b": {"train": 1.0, "valid": 1.0}, "a": {"train": 0.0, "valid": 1.0}}))
    assert (gone.subject, empty.subject) == ("a", "b")
    assert empty.weight < gone.weight
    assert "0 % of the training rows and in 100 % of the valid rows" in gone.sentence


def test_copies_made_before_the_cut_are_mended_in_the_table():
    (finding,) = found(seen(repeats={"valid": Repeats(900, 0.3, 0.2, 0.2, 0.01, copied=True)}))
    assert finding.remedy == "data.train: each row once"
    assert "30.0 % of the valid rows equal a training row" in finding.sentence


@pytest.mark.parametrize("valid", [0.02, 0.05, 0.1, 0.2])
def test_a_share_is_proposed_where_it_is_enough_and_never_fewer_rows(valid):
    """The interval's half width is ±0.1 at the share that is proposed."""
    rare = {"judged": {"buy": Judged(0.7, 20, 900)}}
    (finding,) = found(seen({"data.split": {"by": "random", "valid": valid}}, **rare))
    low, high = finding.evidence["interval"]
    needed = valid * ((high - low) / 2 / 0.1) ** 2
    remedy = yaml.safe_load(finding.remedy)
    if needed <= 0.29:
        assert needed <= remedy["data.split.valid"] <= needed + 0.0101
    elif needed > 0.3:
        assert list(remedy) == ["training.select"]
