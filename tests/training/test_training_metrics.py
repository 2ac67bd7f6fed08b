import math

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import spearmanr
from sklearn import metrics as sk

from trunkline.errors import UserError
from trunkline.tasks import Binary, Multiclass, Regression
from trunkline.training.metrics import score, selection

CLICK, DWELL = Binary(name="click"), Regression(name="dwell", center=20.0, scale=7.0)


def drawn(seed, *, ties):
    """Raw outputs `[N, 5]` and a generator; half of the seeds with few distinct values."""
    draw = np.random.default_rng(seed)
    raw = draw.normal(size=(draw.integers(40, 300), 5))
    return draw, np.round(raw, 1) if ties else raw


def scored(task, raw, label, weight=None):
    label = torch.tensor(np.asarray(label), dtype=torch.float64)
    weight = None if weight is None else torch.tensor(np.asarray(weight))
    return score(task, torch.tensor(np.asarray(raw), dtype=torch.float32), label, weight)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_binary_is_what_scikit_learn_says(seed, ties):
    draw, raw = drawn(seed, ties=ties)
    raw = raw[:, :1].astype(np.float32)
    label = (draw.random(len(raw)) < expit(raw[:, 0] - 1)).astype(int)
    label[:2] = 0, 1
    p = expit(raw[:, 0].astype(np.float64))
    found = scored(CLICK, raw, label)
    base = sk.log_loss(label, np.full(len(label), label.mean()))
    bins = np.clip((p * 15).astype(int), 0, 14)
    gaps = [abs(label[bins == b].mean() - p[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    expected = {
        "auc": sk.roc_auc_score(label, raw[:, 0]),
        "log_loss": sk.log_loss(label, p),
        "normalized_entropy": sk.log_loss(label, p) / base,
        "calibration": p.sum() / label.sum(),
        "ece": sum(gaps),
        "average_precision": sk.average_precision_score(label, raw[:, 0]),
        "rows": len(label),
    }
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 40.0, 1e4])
def test_ranking_survives_probabilities_that_round_to_the_same_number(scale):
    raw = np.linspace(1, 2, 50, dtype=np.float32)[:, None] * scale
    label = np.arange(50) % 3 == 0
    found = scored(CLICK, raw, label)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(label, raw[:, 0]), abs=1e-6)
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(label, raw[:, 0]), abs=1e-6)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 17])
def test_multiclass_is_what_scikit_learn_says(classes, ties):
    draw, raw = drawn(classes, ties=ties)
    raw = np.tile(raw, 4)[:, :classes] + draw.normal(size=(len(raw), classes)).round(1 if ties else 9)
    raw = raw.astype(np.float32)
    label = np.concatenate([np.arange(classes), draw.integers(0, classes, len(raw) - classes)])
    p = softmax(raw.astype(np.float64), axis=1)
    found = scored(Multiclass(name="topic", classes=classes), raw, label)
    one_against_rest = [sk.roc_auc_score(label == k, p[:, k]) for k in range(classes)]
    assert found["macro_auc"] == pytest.approx(np.mean(one_against_rest), abs=1e-6)
    if classes > 2:
        assert found["macro_auc"] == pytest.approx(sk.roc_auc_score(label, p, multi_class="ovr"), abs=1e-6)
    assert found["log_loss"] == pytest.approx(sk.log_loss(label, p), abs=1e-6)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(label, p.argmax(1)), abs=1e-6)
    assert found["rows"] == len(label)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_regression_is_what_scikit_learn_and_scipy_say(seed, ties):
    draw, raw = drawn(seed, ties=ties)
    raw = raw[:, :1].astype(np.float32)
    estimate = raw[:, 0].astype(np.float64) * 7 + 20
    label = estimate + draw.normal(size=len(raw)) * 5
    label = label.round() if ties else label
    expected = {
        "rmse": sk.root_mean_squared_error(label, estimate),
        "mae": sk.mean_absolute_error(label, estimate),
        "r2": sk.r2_score(label, estimate),
        "spearman": spearmanr(label, estimate).statistic,
        "rows": len(label),
    }
    assert scored(DWELL, raw, label) == pytest.approx(expected, abs=1e-6)


def test_regression_far_from_zero_loses_nothing():
    draw = np.random.default_rng(0)
    task = Regression(name="t", center=1.7e9, scale=50.0)
    raw = draw.normal(size=(100, 1)).astype(np.float32)
    estimate = raw[:, 0].astype(np.float64) * 50 + 1.7e9
    label = estimate + draw.normal(size=100)
    found = scored(task, raw, label)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(label, estimate), abs=1e-5)
    assert found["r2"] == pytest.approx(sk.r2_score(label, estimate), abs=1e-6)


TASKS = [CLICK, DWELL, Multiclass(name="topic", classes=3)]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@pytest.mark.parametrize("seed", range(3))
def test_missing_labels_and_zero_weights_are_left_out(task, seed):
    draw = np.random.default_rng(seed)
    raw = draw.normal(size=(90, task.outputs))
    label = draw.integers(0, 2 if task.kind == "binary" else 3, 90).astype(float)
    weight = draw.random(90) * 5
    label[draw.random(90) < 0.3] = np.nan
    weight[draw.random(90) < 0.3] = 0
    raw[np.isnan(label)] = np.inf
    raw[weight == 0] = np.nan
    kept = ~np.isnan(label) & (weight > 0)
    assert scored(task, raw, label, weight) == scored(task, raw[kept], label[kept])
    assert scored(task, raw, label, weight)["rows"] == kept.sum() < 90


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_nothing_observed_gives_no_value_but_zero_rows(task):
    expected = {**dict.fromkeys(task.metrics), "rows": 0}
    assert scored(task, np.zeros((3, task.outputs)), [np.nan] * 3) == expected
    assert scored(task, np.zeros((0, task.outputs)), []) == expected


@pytest.mark.parametrize(
    ("task", "label", "undefined"),
    [
        (CLICK, [0, 0, 0], {"auc", "normalized_entropy", "calibration", "average_precision"}),
        (CLICK, [1, 1, 1], {"auc", "normalized_entropy"}),
        (CLICK, [0], {"auc", "normalized_entropy", "calibration", "average_precision"}),
        (DWELL, [3, 3, 3], {"r2", "spearman"}),
        (DWELL, [3], {"r2", "spearman"}),
        (DWELL, [3, 4], set()),
        (TASKS[2], [0, 1, 1], {"macro_auc"}),
        (TASKS[2], [2], {"macro_auc"}),
        (TASKS[2], [2, 1, 0], set()),
    ],
)
def test_what_is_not_defined_is_none(task, label, undefined):
    raw = np.random.default_rng(0).normal(size=(len(label), task.outputs))
    found = scored(task, raw, label)
    assert {name for name, value in found.items() if value is None} == undefined
    assert all(math.isfinite(value) for value in found.values() if value is not None)


def test_a_constant_estimate_has_no_rank_correlation():
    found = scored(DWELL, np.zeros((4, 1)), [1, 2, 3, 4])
    assert found["spearman"] is None
    assert found["r2"] is not None


SCORES = {
    "click": {"auc": 0.75, "log_loss": 0.5, "calibration": 1.0, "average_precision": None},
    "dwell": {"rmse": 3.0, "mae": 2.0, "r2": 0.25, "spearman": None},
    "topic": {"accuracy": 0.5, "log_loss": 1.5, "macro_auc": None},
}


@pytest.mark.parametrize(
    ("select", "value"),
    [
        ("mean", (0.75 + 0.25) / 2),
        ("mean_auc", 0.75),
        ("mean_log_loss", -1.0),
        ("mean_rmse", -3.0),
        ("click.auc", 0.75),
        ("topic.log_loss", -1.5),
        ("dwell.mae", -2.0),
        ("dwell.r2", 0.25),
        ("topic.accuracy", 0.5),
        ("topic.macro_auc", None),
        ("mean_spearman", None),
    ],
)
def test_selection(select, value):
    assert selection(select, TASKS)(SCORES) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize("select", ["", "auc", "mean_", "mean_calibration", "click.calibration", "click.r2", "buy.auc"])
def test_selection_of_nothing_that_is_there(select):
    with pytest.raises(UserError, match=r"training.select: .* \(known: mean, mean_auc"):
        selection(select, TASKS)


def test_a_misspelt_selection_is_answered_with_the_right_one():
    with pytest.raises(UserError, match=r"did you mean 'click\.auc'"):
        selection("clck.auc", TASKS)
    with pytest.raises(UserError, match="mean_macro_auc"):
        selection("mean_auc_macro", TASKS)


def test_a_task_may_be_called_mean():
    assert selection("mean.auc", [Binary(name="mean")])({"mean": {"auc": 0.5}}) == 0.5
