"""scikit-learn's own checks, and in place of those that do not fit what holds instead."""

import numpy as np
import pytest
from sklearn.datasets import make_regression
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from trunkline.sklearn import MultiTaskClassifier, MultiTaskMixed, MultiTaskRegressor

ESTIMATORS = [
    kind(hidden=(16,), tower_hidden=(), epochs=20, learning_rate=0.02, device="cpu")
    for kind in (MultiTaskClassifier, MultiTaskRegressor, MultiTaskMixed)
]
FLOAT32 = (
    "the network computes in float32, where a row's estimate depends in its last bits on the rows beside it; the check "
    "allows what float64 would. See test_estimates_of_a_row_are_its_own"
)
EXCEPTIONS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight 2 is one row of a step and a row twice is two: features are standardised over, and steps "
        "drawn from, the rows that there are. See test_weights_decide_whose_labels_are_learnt"
    ),
    "check_methods_sample_order_invariance": FLOAT32,
    "check_methods_subset_invariance": FLOAT32,
}
"""Checks that an estimator may fail, and why."""


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: EXCEPTIONS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_the_exceptions_are_few_of_many_checks(estimator):
    names = [getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(estimator)]
    assert set(EXCEPTIONS) < set(names)
    assert len(names) > 15 * len(EXCEPTIONS)


def test_estimates_of_a_row_are_its_own():
    X, y = make_regression(60, 4, n_targets=2, noise=1, random_state=0)
    regressor = MultiTaskRegressor(hidden=(16, 8), tower_hidden=(8,), epochs=5, device="cpu", random_state=0).fit(X, y)
    whole = regressor.predict(X)
    # sums of at most 16 products in 4 layers, in units of the labels' spread
    tolerance = 4 * 16 * np.finfo(np.float32).eps * np.abs(whole - y.mean(0)).max()
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(regressor.predict(X[order]), whole[order], rtol=0, atol=tolerance)
    alone = np.concatenate([regressor.predict(X[i : i + size]) for i, size in [(0, 1), (1, 7), (8, 52)]])
    np.testing.assert_allclose(alone, whole, rtol=0, atol=tolerance)


def test_weights_decide_whose_labels_are_learnt(quick):
    x = np.tile(np.linspace(-1, 1, 40), 2)[:, None]
    one = np.arange(80) < 40
    y = np.where(one == (x[:, 0] > 0), "left", "right")  # each half says the opposite of the other
    for half in (one, ~one):
        fitted = MultiTaskClassifier(**quick).fit(x, y, sample_weight=np.where(half, 1.0, 0.01))
        assert fitted.score(x[half], y[half]) > 0.9
        assert fitted.score(x, y, sample_weight=half.astype(float)) > 0.9
        assert fitted.score(x[~half], y[~half]) < 0.1


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**30])
def test_only_how_weights_stand_to_one_another_counts(quick, factor):
    X, y = make_regression(50, 3, noise=1, random_state=1)
    weights = np.random.default_rng(0).random(50)
    one = MultiTaskRegressor(**quick).fit(X, y, sample_weight=weights).predict(X)
    other = MultiTaskRegressor(**quick).fit(X, y, sample_weight=factor * weights).predict(X)
    np.testing.assert_allclose(other, one, atol=0.05 * y.std())
