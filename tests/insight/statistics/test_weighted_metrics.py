"""Headline metrics of rows that count several times, against scikit-learn and scipy on rows that are repeated."""

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr, t
from sklearn.metrics import r2_score, roc_auc_score

from trunkline.insight.statistics import weighted
from trunkline.insight.statistics.bootstrap import resampled
from trunkline.insight.statistics.predictions import Judged
from trunkline.insight.statistics.student_t import quantile, upper_tail
from trunkline.metrics import METRICS, score
from trunkline.tasks import TASK_KINDS, LabelFacts

ROWS = [3, 64, 65, 300]


def counts(rows, resamples, seed):
    return np.random.default_rng(seed).poisson(1.0, size=(rows, resamples)).astype(float)


def repeated(values, column):
    return np.repeat(values, column.astype(int), axis=0)


def held_to(metric, theirs, estimate, label, weights):
    for found, column in zip(metric(weights), weights.T, strict=True):
        e, y = repeated(estimate, column), repeated(label, column)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = theirs(y, e) if len(np.unique(y)) > 1 else np.nan
        assert found == pytest.approx(wanted, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_scikit_learns(rows, ties):
    draw = np.random.default_rng(rows)
    label = (draw.random(rows) < 0.3).astype(float)
    value = draw.normal(size=rows) + label
    value = value.round(0) if ties else value
    held_to(weighted.auc(value, label), roc_auc_score, value, label, counts(rows, 20, 1))


@pytest.mark.parametrize("rows", [64, 301])
def test_macro_auc_is_scikit_learns(rows):
    draw = np.random.default_rng(rows)
    label = draw.integers(0, 4, rows).astype(float)
    value = draw.dirichlet(np.ones(4), rows) + np.eye(4)[label.astype(int)]
    value /= value.sum(1, keepdims=True)

    def theirs(y, e):
        there = [k for k in range(4) if 0 < (y == k).sum() < len(y)]
        return np.mean([roc_auc_score(y == k, e[:, k]) for k in there]) if there else np.nan

    held_to(weighted.macro_auc(value, label), theirs, value, label, counts(rows, 20, 2))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_r2_is_scikit_learns(rows, offset):
    draw = np.random.default_rng(rows)
    label = draw.normal(size=rows) + offset
    value = label + draw.normal(size=rows)
    held_to(weighted.r2(value, label), r2_score, value, label, counts(rows, 20, 3))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("ties", [False, True])
def test_spearman_is_scipys(rows, ties):
    draw = np.random.default_rng(rows)
    label = draw.normal(size=rows)
    value = label + draw.normal(size=rows)
    label, value = (label.round(0), value.round(0)) if ties else (label, value)
    held_to(weighted.spearman(value, label), lambda y, e: spearmanr(e, y).statistic, value, label, counts(rows, 20, 4))


@pytest.mark.parametrize("ties", [False, True])
def test_gini_is_that_of_repeated_rows(ties):
    draw = np.random.default_rng(5)
    label = draw.exponential(size=200) * (draw.random(200) < 0.4)
    value = label + draw.normal(size=200)
    value = value.round(0) if ties else value
    task = TASK_KINDS["zero_inflated_lognormal"](name="spent")

    def theirs(y, e):
        order, best = np.argsort(np.argsort(e)), np.argsort(np.argsort(y))
        assert len(order) == len(best)
        one, other = (np.unique(x, return_inverse=True, return_counts=True)[1:] for x in (e, y))
        ranks = [(c.cumsum() - (c - 1) / 2)[i] - (len(y) + 1) / 2 for i, c in (one, other)]
        return float((y * ranks[0]).sum() / (y * ranks[1]).sum())

    assert task.headline == "gini"
    held_to(weighted.gini(value, label), theirs, value, label, counts(200, 20, 6))


def test_a_resample_in_which_a_metric_is_not_defined_is_not_a_number():
    label, value = np.array([0.0, 0, 1]), np.array([0.1, 0.2, 0.3])
    weights = np.array([[1.0, 1, 0], [1, 0, 0], [0, 1, 0]])
    for maker in (weighted.auc, weighted.spearman, weighted.r2, weighted.gini):
        found = maker(value, label)(weights)
        assert np.isnan(found[[0, 2]]).all()
        assert np.isfinite(found[1])


FACTS = LabelFacts(rows=100, mean=2.0, std=1.5, log_mean=0.5, log_std=0.8, levels=(1, 2, 3))


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_unweighted_it_is_the_headline_metric_of_every_kind(kind):
    plain = {"classes": 3} if kind == "multiclass" else {}
    task = TASK_KINDS[kind](name="t").learn(FACTS)
    assert not plain or task.outputs == 3
    generator = torch.Generator().manual_seed(0)
    rows = 130
    label = {
        "binary": torch.randint(0, 2, (rows,), generator=generator).double(),
        "multiclass": torch.randint(0, 3, (rows,), generator=generator).double(),
        "ordinal": torch.randint(0, 3, (rows,), generator=generator).double(),
        "poisson": torch.randint(0, 5, (rows,), generator=generator).double(),
        "negative_binomial": torch.randint(0, 5, (rows,), generator=generator).double(),
    }.get(kind, torch.rand(rows, generator=generator).double() * 4 + 0.1)
    raw = torch.randn(rows, task.outputs, generator=generator)
    weight = torch.ones(rows)
    label[::7], weight[3] = torch.nan, 0

    judged = Judged(task, label, weight)
    wanted = score(task, raw, label, weight)[task.headline]
    ((found, draws),) = resampled(judged, {"run": judged.value(raw)}, rows, resamples=50).values()

    assert METRICS[task.headline].higher_is_better
    assert found == pytest.approx(wanted, abs=1e-6)
    assert draws.shape == (50,)
    assert abs(draws.mean() - found) < 4 * draws.std()


def test_resamples_are_the_same_for_every_run_and_every_task():
    draw = np.random.default_rng(0)
    label = torch.from_numpy((draw.random(400) < 0.4).astype(float))
    task = TASK_KINDS["binary"](name="t")
    value = draw.normal(size=400)
    half = torch.where(torch.arange(400) < 200, label, torch.nan)
    whole, part = Judged(task, label), Judged(task, half)
    both = resampled(whole, {"a": value, "b": value + 1}, 400, resamples=70)
    alone = resampled(whole, {"b": value + 1}, 400, resamples=70)
    cut = resampled(part, {"a": value[:200]}, 400, resamples=70)

    assert (both["a"][1] == both["b"][1]).all()
    assert (both["b"][1] == alone["b"][1]).all()
    assert np.corrcoef(both["a"][1], cut["a"][1])[0, 1] > 0.4


@pytest.mark.parametrize("df", [1, 1.7, 2, 3.3, 10, 200, 9e3])
@pytest.mark.parametrize("tail", [0.3, 0.025, 1e-3, 1e-5])
def test_students_t_is_scipys(df, tail):
    assert quantile(tail, df) == pytest.approx(t.isf(tail, df), rel=1e-6)
    assert upper_tail(quantile(tail, df), df) == pytest.approx(tail)


def test_with_no_end_of_degrees_of_freedom_it_is_normal():
    assert quantile(0.025, float("inf")) == pytest.approx(1.95996, abs=1e-3)
