import math
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import spearmanr
from sklearn import metrics as sk

from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.metrics import METRICS, Metric, Scored, score, selection
from trunkline.tasks import (
    TASK_KINDS,
    Binary,
    Huber,
    Laplace,
    Lognormal,
    MixtureDensity,
    Multiclass,
    NegativeBinomial,
    Ordinal,
    Poisson,
    Quantile,
    Regression,
    ZeroInflatedLognormal,
)
from trunkline.testing import check_metric

CLICK, DWELL = Binary(name="click"), Regression(name="dwell", center=20.0, scale=7.0)
GIVEN = Regression(name="given")  # the estimate is the raw output
STARS = Ordinal(name="stars", values=(1, 2, 3.5, 4, 10))
SPREAD = Quantile(name="spread", levels=(0.05, 0.3, 0.5, 0.95), center=20.0, scale=7.0)


def drawn(seed, *, ties):
    """Raw outputs `[N, 5]` and a generator; half of the seeds with few distinct values."""
    draw = np.random.default_rng(seed)
    raw = draw.normal(size=(draw.integers(40, 300), 5))
    return draw, np.round(raw, 1) if ties else raw


def scored(task, raw, label, weight=None):
    label = torch.tensor(np.asarray(label), dtype=torch.float64)
    weight = None if weight is None else torch.tensor(np.asarray(weight))
    return score(task, torch.tensor(np.asarray(raw), dtype=torch.float32), label, weight)


def value(metric, estimate, label):
    """One metric of estimates `[N]` and labels `[N]`."""
    estimate, label = (torch.tensor(np.asarray(values), dtype=torch.float64) for values in (estimate, label))
    return METRICS.make(metric, {}).compute(Scored(GIVEN, estimate[:, None], label))


def test_arithmetic_is_in_64_bits():
    """Sums over many rows leave n·ε of doubles, which 32 bits miss by orders of magnitude."""
    draw = np.random.default_rng(0)
    rows = 60_000
    raw = np.round(draw.normal(size=rows), 4).astype(np.float32)
    label = (draw.random(rows) < expit(raw.astype(np.float64))).astype(int)
    allowed = 8 * rows * np.finfo(np.float64).eps
    found = scored(CLICK, raw[:, None], label)
    probability = expit(raw.astype(np.float64))
    wanted = {
        "auc": sk.roc_auc_score(label, raw.astype(np.float64)),
        "average_precision": sk.average_precision_score(label, raw.astype(np.float64)),
        "log_loss": sk.log_loss(label, probability),
        "calibration": probability.sum() / label.sum(),
    }
    for metric, expected in wanted.items():
        assert found[metric] == pytest.approx(expected, rel=allowed, abs=0), metric
    dwell = draw.normal(20, 7, rows)
    estimate = 20.0 + 7.0 * raw.astype(np.float64)
    found = scored(DWELL, raw[:, None], dwell)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(dwell, estimate), rel=allowed, abs=0)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(dwell, estimate), rel=allowed, abs=0)
    assert found["r2"] == pytest.approx(sk.r2_score(dwell, estimate), rel=allowed, abs=0)
    raw = draw.normal(size=(rows, 3)).astype(np.float32)
    topic = draw.integers(0, 3, rows)
    shares = softmax(raw.astype(np.float64), axis=1)
    found = scored(Multiclass(name="topic", classes=3), raw, topic)
    expected = sk.roc_auc_score(topic, shares, multi_class="ovr")
    assert found["macro_auc"] == pytest.approx(expected, rel=allowed, abs=0)


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


def test_macro_auc_is_over_the_classes_that_occur():
    draw = np.random.default_rng(0)
    raw, label = draw.normal(size=(60, 5)).astype(np.float32), draw.choice([0, 2, 3], 60)
    found = scored(Multiclass(name="topic", classes=5), raw, label)["macro_auc"]
    p = softmax(raw.astype(np.float64), axis=1)
    assert found == pytest.approx(np.mean([sk.roc_auc_score(label == k, p[:, k]) for k in (0, 2, 3)]), abs=1e-6)


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


def amounts(seed, *, ties):
    """Estimates above 0 and labels, half of them 0, that go with them."""
    draw, raw = drawn(seed, ties=ties)
    estimate = np.exp(raw[:, 0])
    label = np.where(draw.random(len(raw)) < 0.5, 0.0, estimate * np.exp(raw[:, 1]))
    return estimate, label.round() if ties else label


each_amounts = pytest.mark.parametrize(("seed", "ties"), [(seed, ties) for seed in range(8) for ties in (False, True)])


@each_amounts
def test_amounts_are_scored_as_scikit_learn_and_plain_numpy_do(seed, ties):
    estimate, label = amounts(seed, ties=ties)
    some = label > 0
    for metric, expected in {
        "log_rmse": sk.root_mean_squared_error(np.log(label[some]), np.log(estimate[some])),
        "bias": np.sum(estimate) / np.sum(label),
        "poisson_deviance": sk.mean_poisson_deviance(label, estimate),
        "ndcg": sk.ndcg_score([label], [estimate]),
        "auc_positive": sk.roc_auc_score(some, estimate),
        "gini": gain_area(label, estimate) / gain_area(label, label),
    }.items():
        assert value(metric, estimate, label) == pytest.approx(expected, abs=1e-6), metric


def gain_area(label, estimate):
    """Area between the curve of label gained by descending estimate, straight across ties, and the diagonal."""
    levels = np.unique(estimate)[::-1]
    rows = np.array([0.0, *np.cumsum([np.mean(estimate == level) for level in levels])])
    gained = np.array([0.0, *np.cumsum([label[estimate == level].sum() for level in levels])]) / label.sum()
    return np.trapezoid(gained, rows) - 0.5


@pytest.mark.parametrize("metric", ["gini", "ndcg"])
def test_ties_count_as_the_mean_of_all_their_orders(metric):
    label, estimate = np.array([3.0, 0, 1, 0, 5, 2]), np.array([1.0, 1, 2, 0, 1, 0])
    # Shares of a unit break the ties and nothing else.
    orders = [value(metric, estimate + np.array(order) / 10, label) for order in permutations(range(6))]
    assert value(metric, estimate, label) == pytest.approx(np.mean(orders))
    assert np.ptp(orders) > 0.1


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_gini_of_zeros_and_ones_is_twice_the_auc_less_one(seed, ties):
    draw, raw = drawn(seed, ties=ties)
    label = draw.random(len(raw)) < 0.2
    assert value("gini", raw[:, 0], label) == pytest.approx(2 * sk.roc_auc_score(label, raw[:, 0]) - 1)


def test_the_best_order_and_the_worst():
    label = np.array([4.0, 0, 2, 0, 9, 2])
    for metric in ("gini", "ndcg", "spearman"):
        assert value(metric, label**3, label) == pytest.approx(1, abs=1e-12)
    assert value("gini", -label, label) == pytest.approx(-1, abs=1e-12)
    assert value("spearman", -label, label) == pytest.approx(-1, abs=1e-12)
    assert value("gini", np.ones(6), label) == pytest.approx(0, abs=1e-12)


@each_amounts
def test_metrics_of_order_see_nothing_but_the_order(seed, ties):
    estimate, label = amounts(seed, ties=ties)
    for metric in ("auc_positive", "gini", "ndcg", "spearman"):
        found = value(metric, estimate, label)
        for changed in (estimate * 3 + 1, np.log(estimate), estimate**3):
            assert value(metric, changed, label) == pytest.approx(found, abs=1e-9), metric
    assert value("spearman", estimate, label**3) == pytest.approx(value("spearman", estimate, label))
    for metric in ("gini", "ndcg"):
        assert value(metric, estimate, label * 1e6) == pytest.approx(value(metric, estimate, label))


def test_spearman_of_labels_most_of_which_are_equal():
    draw = np.random.default_rng(0)
    estimate = draw.normal(size=150_000)
    label = draw.poisson(np.exp(estimate - 2))
    assert np.sum(label == 0) > 100_000
    assert value("spearman", estimate, label) == pytest.approx(spearmanr(estimate, label).statistic, abs=1e-9)


def test_an_estimate_that_rounded_to_zero_gives_numbers():
    for metric in ("log_rmse", "poisson_deviance"):
        assert 1 < value(metric, [0.0, 2.0, 0.0], [3.0, 2.0, 0.0]) < 2000


def test_the_deviance_of_large_counts_loses_nothing():
    label = np.array([1e9, 3e9])
    error = np.array([1e-7, -2e-7])
    found = value("poisson_deviance", label * (1 + error), label)
    assert found == pytest.approx(np.mean(label * error**2), rel=1e-4)


@pytest.mark.parametrize("task", [Poisson(name="visits", mean=2.5), NegativeBinomial(name="visits", mean=2.5)])
@pytest.mark.parametrize("seed", range(4))
def test_counts_are_scored_as_scikit_learn_and_scipy_do(task, seed):
    draw = np.random.default_rng(seed)
    raw = draw.normal(size=(170, task.outputs)).astype(np.float32)
    estimate = task.estimate(torch.tensor(raw).double()).numpy()
    label = draw.poisson(estimate).astype(float)
    assert scored(task, raw, label) == pytest.approx(
        {
            "poisson_deviance": sk.mean_poisson_deviance(label, estimate),
            "rmse": sk.root_mean_squared_error(label, estimate),
            "mae": sk.mean_absolute_error(label, estimate),
            "spearman": spearmanr(label, estimate).statistic,
            "bias": estimate.sum() / label.sum(),
            "rows": 170,
        },
        abs=1e-6,
    )


@pytest.mark.parametrize(
    ("task", "numbers"),
    [
        (STARS, [1, 2, 3.5, 4, 10]),
        (Ordinal(name="size", values=("S", "M", "L")), [0, 1, 2]),
        (Ordinal(name="two", values=(0, 5)), [0, 5]),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_ordinal_is_what_scikit_learn_and_scipy_say(task, numbers, seed):
    draw = np.random.default_rng(seed)
    raw = draw.normal(size=(200, task.outputs)).astype(np.float32)
    p = task.probabilities(torch.tensor(raw).double()).numpy()
    label = (p.cumsum(1) < draw.random((200, 1))).sum(1).clip(0, len(numbers) - 1)
    truth, expected = np.array(numbers)[label], p @ numbers
    assert scored(task, raw, label) == pytest.approx(
        {
            "log_loss": sk.log_loss(label, p, labels=range(len(numbers))),
            "mae": sk.mean_absolute_error(truth, expected),
            "accuracy": sk.accuracy_score(label, p.argmax(1)),
            "spearman": spearmanr(truth, expected).statistic,
            "quadratic_kappa": sk.cohen_kappa_score(label, p.argmax(1), weights="quadratic"),
            "rows": 200,
        },
        abs=1e-6,
    )


@pytest.mark.parametrize("levels", [(0.05, 0.3, 0.5, 0.95), (0.1, 0.9), (0.5,), (0.7, 0.8)])
@pytest.mark.parametrize("seed", range(4))
def test_quantiles_are_scored_as_scikit_learn_does(levels, seed):
    draw = np.random.default_rng(seed)
    task = Quantile(name="t", levels=levels, center=20.0, scale=7.0)
    raw = draw.normal(size=(120, len(levels))).astype(np.float32)
    label = draw.normal(size=120) * 7 + 20
    found, quantiles = scored(task, raw, label), task.quantiles(torch.tensor(raw).double()).numpy()
    losses = [sk.mean_pinball_loss(label, q, alpha=level) for level, q in zip(levels, quantiles.T, strict=True)]
    assert found["pinball"] == pytest.approx(np.mean(losses))
    inside = np.mean((label >= quantiles[:, 0]) & (label <= quantiles[:, -1]))
    assert found["coverage"] == (pytest.approx(inside) if levels[0] < 0.5 < levels[-1] else None)


@pytest.mark.parametrize(
    "task",
    [Lognormal(name="dwell", log_center=3.0, log_scale=1.4), MixtureDensity(name="m", center=20.0, scale=7.0)],
    ids=lambda task: task.kind,
)
def test_coverage_is_the_share_of_labels_in_the_interval(task):
    draw = np.random.default_rng(0)
    raw = draw.normal(size=(130, task.outputs)).astype(np.float32)
    label = np.exp(draw.normal(size=130) * 2 + 3)
    low, high = (end.numpy() for end in task.interval(torch.tensor(raw).double()))
    label[:2] = low[0], high[1]
    expected = np.mean((low <= label) & (label <= high))
    assert 0.2 < expected < 0.98
    assert scored(task, raw, label)["coverage"] == pytest.approx(expected)


@pytest.mark.parametrize("task", [MixtureDensity(name="m", center=200.0, scale=35.0), MixtureDensity(name="m")])
def test_nll_is_that_of_a_density_in_the_labels_unit(task):
    raw = torch.randn(1, task.outputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.linspace(-12, 12, 4001, dtype=torch.float64) * task.scale + task.center
    nll = [METRICS.make("nll", {}).compute(Scored(task, raw, label[None])) for label in labels]
    assert np.trapezoid(np.exp(-np.array(nll)), labels.numpy()) == pytest.approx(1, abs=1e-6)


def test_nll_follows_the_unit():
    draw = np.random.default_rng(0)
    raw, label = draw.normal(size=(50, 15)), draw.normal(size=50)
    seconds = scored(MixtureDensity(name="m"), raw, label)
    millis = scored(MixtureDensity(name="m", scale=1000.0), raw, label * 1000)
    assert millis["nll"] == pytest.approx(seconds["nll"] + math.log(1000))
    assert millis["coverage"] == pytest.approx(seconds["coverage"])


TASKS = [CLICK, DWELL, Multiclass(name="topic", classes=3)]


def levels(draw, n):
    return draw.integers(0, 3, n).astype(float)


def numbers(draw, n):
    return draw.normal(size=n) * 7 + 20


def counts(draw, n):
    return draw.poisson(1.5, n).astype(float)


KINDS = [  # an instance and its labels; every kind
    (CLICK, lambda draw, n: draw.integers(0, 2, n).astype(float)),
    (TASKS[2], levels),
    (STARS, levels),
    (DWELL, numbers),
    (Laplace(name="laplace", center=20.0, scale=7.0), numbers),
    (Huber(name="huber", center=20.0, scale=7.0), numbers),
    (SPREAD, numbers),
    (MixtureDensity(name="mixture", components=2, center=20.0, scale=7.0), numbers),
    (Lognormal(name="lognormal"), lambda draw, n: np.exp(draw.normal(size=n))),
    (ZeroInflatedLognormal(name="revenue"), lambda draw, n: np.exp(draw.normal(size=n)) * draw.integers(0, 2, n)),
    (Poisson(name="visits"), counts),
    (NegativeBinomial(name="visits"), counts),
]

each_kind = pytest.mark.parametrize(("task", "labels"), KINDS, ids=lambda v: getattr(v, "kind", ""))


def rows(task, labels, n, *, seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(n, task.outputs)).astype(np.float32), labels(draw, n)


def test_every_kind_names_metrics_that_there_are():
    assert {type(task) for task, _ in KINDS} == set(TASK_KINDS.values())
    for kind in TASK_KINDS.values():
        assert set(kind.metrics) <= set(METRICS), kind.kind
        assert len(set(kind.metrics)) == len(kind.metrics), kind.kind
        assert kind.headline in kind.metrics
        assert METRICS[kind.headline].higher_is_better, kind.kind
    assert {name for kind in TASK_KINDS.values() for name in kind.metrics} == set(METRICS)


@pytest.mark.parametrize("label", [1.0, np.nan])
def test_a_metric_that_there_is_not_is_refused(label, monkeypatch):
    monkeypatch.setattr(Regression, "metrics", ("rmse", "rsme"))
    with pytest.raises(UserError, match="rsme"):
        scored(GIVEN, [[0.0]], [label])


@pytest.mark.parametrize("metric", ["pinball", "nll"])
def test_a_metric_that_a_kind_cannot_have_is_refused(metric):
    with pytest.raises(TypeError, match=f"{metric}: a regression task has no"):
        value(metric, [0.0], [1.0])


@each_kind
def test_what_suits_a_kind_can_be_computed_for_it_and_what_it_reports_suits_it(task, labels):
    suiting = [name for name in METRICS if METRICS.make(name, {}).suits(task)]
    assert set(task.metrics) <= set(suiting)
    raw, label = (torch.from_numpy(values) for values in rows(task, labels, 30))
    for name in suiting:
        check_metric(METRICS[name], task, raw, label)
    for name in set(METRICS) - set(suiting):
        assert name not in task.reported


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("binary", "pinball"),
        ("regression", "auc"),
        ("multiclass", "rmse"),
        ("regression", "nll"),
        ("poisson", "ece"),
        ("lognormal", "accuracy"),
        ("multiclass", "auc"),
    ],
)
def test_a_metric_that_does_not_suit_a_task_is_refused_when_the_config_is_read(kind, metric):
    config = Config.make({"data": {"train": "x"}, "tasks": {"click": {"kind": kind, "metrics": metric}}})
    with pytest.raises(
        UserError, match=rf"tasks\.click\.metrics: {metric} is not defined for a task of kind {kind} \(these"
    ):
        build_tasks(config)


def test_further_metrics_are_reported_once_and_can_select():
    config = Config.make({"data": {"train": "x"}, "tasks": {"click": {"kind": "binary", "metrics": ["rmse", "auc"]}}})
    (task,) = build_tasks(config)
    assert list(scored(task, [[0.2], [-0.3]], [1.0, 0.0])) == [*Binary.metrics, "rmse", "rows"]
    assert selection("click.rmse", [task])({"click": {"rmse": 0.25}}) == -0.25
    with pytest.raises(UserError, match="metric 'aucc' is unknown; did you mean 'auc'"):
        build_tasks(Config.make(config, overrides={"tasks.click.metrics": ["aucc"]}))


@each_kind
def test_all_metrics_of_every_kind_are_finite_numbers(task, labels):
    found = scored(task, *rows(task, labels, 80))
    assert list(found) == [*task.metrics, "rows"]
    assert all(type(value) is float for name, value in found.items() if name != "rows")
    assert all(math.isfinite(value) for value in found.values())


@each_kind
def test_the_order_of_the_rows_plays_no_part(task, labels):
    raw, label = rows(task, labels, 80)
    order = np.random.default_rng(1).permutation(80)
    assert scored(task, raw[order], label[order]) == pytest.approx(scored(task, raw, label), rel=1e-6)


@each_kind
@pytest.mark.parametrize("times", [2, 5])
def test_every_row_several_times_changes_nothing(task, labels, times):
    raw, label = rows(task, labels, 60)
    one, several = scored(task, raw, label), scored(task, np.repeat(raw, times, axis=0), np.repeat(label, times))
    assert several.pop("rows") == times * one.pop("rows")
    for found in (one, several):
        found.pop("ndcg", None)  # its discount grows with the place in the list
    assert several == pytest.approx(one, rel=1e-5)


@each_kind
def test_estimates_are_computed_once(task, labels, monkeypatch):
    raw, label = rows(task, labels, 40)
    calls, estimate = [], type(task).estimate
    monkeypatch.setattr(type(task), "estimate", lambda *given: calls.append(1) or estimate(*given))
    scored(task, raw, label)
    assert len(calls) == 1


@each_kind
@pytest.mark.parametrize("seed", range(3))
def test_missing_labels_and_zero_weights_are_left_out(task, labels, seed):
    draw = np.random.default_rng(seed)
    raw, label = rows(task, labels, 90, seed=seed)
    weight = draw.random(90) * 5
    label[draw.random(90) < 0.3] = np.nan
    weight[draw.random(90) < 0.3] = 0
    raw[np.isnan(label)] = np.inf
    raw[weight == 0] = np.nan
    kept = ~np.isnan(label) & (weight > 0)
    assert scored(task, raw, label, weight) == scored(task, raw[kept], label[kept])
    assert scored(task, raw, label, weight)["rows"] == kept.sum() < 90


@each_kind
def test_nothing_observed_gives_no_value_but_zero_rows(task, labels):
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
        (TASKS[2], [0, 1, 1], set()),
        (TASKS[2], [2], {"macro_auc"}),
        (TASKS[2], [2, 1, 0], set()),
        (STARS, [3, 3, 3], {"spearman", "quadratic_kappa"}),
        (STARS, [3], {"spearman", "quadratic_kappa"}),
        (STARS, [0, 4], set()),
        (KINDS[8][0], [2.0, 2.0], {"spearman"}),
        (KINDS[9][0], [0, 0, 0], {"spearman", "gini", "ndcg", "auc_positive", "bias"}),
        (KINDS[9][0], [2, 2, 2], {"spearman", "gini", "ndcg", "auc_positive"}),
        (KINDS[9][0], [2, 3, 3], {"auc_positive"}),
        (KINDS[9][0], [0], {"spearman", "gini", "ndcg", "auc_positive", "bias"}),
        (KINDS[9][0], [0, 7], set()),
        (KINDS[10][0], [0, 0], {"spearman", "bias"}),
        (SPREAD, [7], {"spearman"}),
        (KINDS[7][0], [7], {"spearman"}),
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


def test_what_needs_labels_above_zero_is_none_without():
    assert value("log_rmse", [1.0, 2.0], [0.0, 0.0]) is None
    assert value("bias", [1.0, 2.0], [-3.0, 2.0]) is None
    assert value("ndcg", [1.0, 2.0], [-3.0, 2.0]) is None
    assert value("poisson_deviance", [1.0, 2.0], [-3.0, 2.0]) is None


def test_metrics_of_order_with_a_constant_estimate():
    label = [0.0, 2.0, 3.0]
    assert value("spearman", [1.0, 1.0, 1.0], label) is None
    assert value("auc_positive", [1.0, 1.0, 1.0], label) == 0.5
    assert value("gini", [1.0, 1.0, 1.0], label) == pytest.approx(0, abs=1e-12)
    assert value("ndcg", [1.0, 1.0, 1.0], label) == pytest.approx(sk.ndcg_score([label], [[1.0, 1.0, 1.0]]))


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


def test_what_has_its_best_value_in_between_cannot_select():
    assert {name for name, metric in METRICS.items() if metric.higher_is_better is None} == {
        "bias",
        "calibration",
        "coverage",
    }
    with pytest.raises(UserError, match="known: mean, mean_pinball, mean_mae, mean_spearman, spread"):
        selection("spread.coverage", [SPREAD])


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


class Broken(Metric):
    """Goes wrong in a way of one's choice."""

    higher_is_better = True
    outcome = 0.5

    def compute(self, scored):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (ZeroDivisionError("no rows"), "raised ZeroDivisionError: no rows"),
        (math.nan, "gave nan; a metric is a finite number, or None"),
        ("high", "gave 'high'; a metric is a finite number"),
        (torch.tensor(0.5), r"gave tensor\(0\.5"),
    ],
)
def test_what_goes_wrong_in_somebody_elses_metric_is_told_as_its_own(outcome, words, monkeypatch):
    monkeypatch.setattr(Broken, "outcome", outcome)
    monkeypatch.setitem(METRICS._table, "broken", Broken)
    task = Binary(name="click", further_metrics=("broken",))
    with pytest.raises(UserError, match=rf"metric 'broken' \(\S*Broken\) of task click {words}"):
        scored(task, [[0.2]], [1.0])
