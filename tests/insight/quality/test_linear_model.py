"""The linear model on the side: against scikit-learn, with every kind of input, of every kind of task."""

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from trunkline.insight.quality.linear_model import LinearModel
from trunkline.nn.inputs import Ragged
from trunkline.tables import Batch
from trunkline.tasks import Binary, Multiclass, Poisson, Regression

RIDGE = 10.0


def drawn(rows, seed, *, columns=2, numbers=3, lists=False):
    """Encoded rows without labels, and a score for each that is linear in all of them."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(0, 6, (rows, columns)).astype(np.int32)
    values = draw.normal(size=(rows, numbers)).astype(np.float32)
    worth = np.random.default_rng(99)
    score = worth.normal(size=(6, columns))[ids, np.arange(columns)].sum(1) + values @ worth.normal(size=numbers)
    ragged = []
    if lists:
        lengths = draw.integers(0, 4, rows)
        offsets = np.concatenate([[0], lengths.cumsum()])
        items = draw.integers(0, 5, offsets[-1]).astype(np.int32)
        shares = np.zeros((rows, 5))
        np.add.at(shares, (np.repeat(np.arange(rows), lengths), items), 1)
        shares /= np.maximum(lengths, 1)[:, None]
        score = score + 2 * shares @ worth.normal(size=5)
        ragged = [Ragged(torch.from_numpy(items), torch.from_numpy(offsets))]
    return ids, values, ragged, score


def batch(ids, values, ragged, label, weight=None):
    label = torch.as_tensor(label, dtype=torch.float64)
    weights = {} if weight is None else {"y": torch.as_tensor(weight, dtype=torch.float32)}
    return Batch(torch.from_numpy(ids), torch.from_numpy(values), {"y": label}, weights, tuple(ragged))


def design(ids, values, ragged):
    """The same as one dense matrix."""
    parts = [values.astype(np.float64)]
    parts += [np.eye(6)[column] for column in ids.T]
    for one in ragged:
        lengths = one.offsets.diff().numpy()
        shares = np.zeros((len(values), 5))
        np.add.at(shares, (np.repeat(np.arange(len(values)), lengths), one.values.numpy()), 1)
        parts.append(shares / np.maximum(lengths, 1)[:, None])
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_of_a_binary_label_it_is_scikit_learns(lists, weighted):
    *train, score = drawn(400, 0, lists=lists)
    *valid, _ = drawn(150, 1, lists=lists)
    draw = np.random.default_rng(2)
    label = (draw.random(400) < 1 / (1 + np.exp(-score))).astype(float)
    weight = draw.random(400) * 3 if weighted else np.ones(400)
    found = LinearModel(
        Binary(name="y"),
        batch(*train, label, weight if weighted else None),
        batch(*valid, draw.integers(0, 2, 150)),
        ridges=[RIDGE],
    )
    theirs = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=5000)
    theirs.fit(design(*train), label, sample_weight=weight / weight.mean())
    wanted = theirs.decision_function(design(*valid))
    if found.ridge == RIDGE:  # the validation labels are noise, of which a constant may tell as much
        np.testing.assert_allclose(found.raw[:, 0].numpy(), wanted, atol=2e-3)
    else:
        assert math.isinf(found.ridge)
    constant = math.log((label * weight).sum() / ((1 - label) * weight).sum())
    assert float(found.constant[0]) == pytest.approx(constant, abs=1e-4)


def test_of_numbers_classes_and_counts_it_is_scikit_learns():
    *train, score = drawn(500, 3)
    *valid, score_there = drawn(200, 4)
    draw, x, there = np.random.default_rng(5), design(*train), design(*valid)

    label = score + draw.normal(size=500)
    held = batch(*valid, score_there)
    found = LinearModel(Regression(name="y", standardize=False), batch(*train, label), held, ridges=[RIDGE])
    theirs = Ridge(alpha=RIDGE).fit(x, label).predict(there)
    np.testing.assert_allclose(found.raw[:, 0].numpy(), theirs, atol=5e-3)

    classes = np.digitize(score, np.quantile(score, [0.3, 0.7])).astype(float)
    held = batch(*valid, np.digitize(score_there, np.quantile(score, [0.3, 0.7])))
    found = LinearModel(Multiclass(name="y", classes=3), batch(*train, classes), held, ridges=[RIDGE])
    theirs = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=5000).fit(x, classes).predict_proba(there)
    np.testing.assert_allclose(softmax(found.raw.numpy(), axis=1), theirs, atol=5e-3)

    counts = draw.poisson(np.exp(score / 4)).astype(float)
    held = batch(*valid, draw.poisson(np.exp(score_there / 4)))
    found = LinearModel(Poisson(name="y"), batch(*train, counts), held, ridges=[RIDGE])
    theirs = PoissonRegressor(alpha=RIDGE / 500, tol=1e-10, max_iter=5000).fit(x, counts).predict(there)
    np.testing.assert_allclose(Poisson(name="y").estimate(found.raw).numpy(), theirs, rtol=1e-2)


def test_ids_that_it_has_not_seen_weigh_nothing_and_missing_labels_count_nowhere():
    *train, score = drawn(300, 6)
    *valid, _ = drawn(4, 7)
    label = np.where(np.arange(300) % 3 == 0, np.nan, score)
    valid[0][:] = [[9, 1], [1, 9], [9, 9], [1, 1]]
    task = Regression(name="y", standardize=False)
    held = batch(*valid, [0.0, np.nan, 1.0, 2.0])
    found = LinearModel(task, batch(*train, label), held, ridges=[1.0])
    kept = [part[np.arange(300) % 3 != 0] for part in train[:2]]
    same = LinearModel(task, batch(*kept, [], label[~np.isnan(label)]), held, ridges=[1.0])
    assert found.raw.equal(same.raw)
    theirs = Ridge(alpha=1.0).fit(design(*kept, []), label[~np.isnan(label)])
    blank = design(np.clip(valid[0], 0, 5), valid[1], [])
    blank[0, 3:9] = blank[1, 9:15] = blank[2, 3:] = 0
    np.testing.assert_allclose(found.raw[:, 0].numpy(), theirs.predict(blank), atol=5e-3)


def test_of_noise_a_constant_is_as_good():
    *train, _ = drawn(200, 8, columns=8)
    *valid, _ = drawn(2000, 9, columns=8)
    draw = np.random.default_rng(10)
    found = LinearModel(
        Regression(name="y", standardize=False), batch(*train, draw.normal(size=200)), batch(*valid, np.zeros(2000))
    )
    assert found.ridge == math.inf or found.ridge >= 100
    assert found.raw.shape == (2000, 1)


def test_without_a_label_there_is_none():
    *rows, _ = drawn(20, 11)
    with pytest.raises(ValueError, match="task y: no row with a label"):
        LinearModel(Binary(name="y"), batch(*rows, np.full(20, np.nan)), batch(*rows, np.zeros(20)))


def test_only_numbers_and_only_ids():
    for columns, numbers in ((0, 2), (2, 0)):
        *train, score = drawn(100, 12, columns=columns, numbers=numbers)
        found = LinearModel(
            Regression(name="y", standardize=False), batch(*train, score), batch(*train, score), ridges=[0.01]
        )
        assert float((found.raw[:, 0] - torch.from_numpy(score)).abs().max()) < 0.05
