"""Estimators inside what scikit-learn has for estimators."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_blobs, make_regression
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from trunkline.sklearn import MultiTaskClassifier, MultiTaskMixed, MultiTaskRegressor


def test_pipeline_of_transformed_frames(table, quick):
    X, y = table
    columns = ColumnTransformer(
        [("scaled", StandardScaler(), ["liking", "age"]), ("hot", OneHotEncoder(sparse_output=False), ["device"])],
        remainder="passthrough",
    ).set_output(transform="pandas")
    whole = make_pipeline(columns, MultiTaskMixed(**quick)).fit(X, y)
    assert whole[-1].feature_names_in_.tolist() == [
        *("scaled__liking", "scaled__age", "hot__device_desk", "hot__device_phone"),
        *("remainder__place", "remainder__member"),
    ]
    assert whole.predict(X).shape == y.shape
    assert whole.score(X, y) > 0.7
    assert len(whole.predict_proba(X)) == 3


def test_scaling_before_changes_little(quick):
    X, y = make_regression(60, 3, noise=1, random_state=0)
    scale = np.array([1e-3, 1, 1e4])
    one = make_pipeline(StandardScaler(), MultiTaskRegressor(**quick)).fit(X * scale, y).predict(X * scale)
    other = MultiTaskRegressor(**quick).fit(X, y).predict(X)
    np.testing.assert_allclose(one, other, atol=0.05 * y.std())


def test_search_over_a_grid_with_labels_missing(table, quick):
    X, y = table
    grid = {"learning_rate": np.array([1e-6, 0.02]), "sharing": ["shared_bottom", {"kind": "mmoe", "experts": 2}]}
    search = GridSearchCV(MultiTaskMixed(**quick), grid, cv=KFold(2), error_score="raise").fit(X, y)
    assert search.best_params_["learning_rate"] == 0.02
    assert search.best_estimator_.model_.config.network.sharing.kind in ("shared_bottom", "mmoe")
    assert search.score(X, y) == search.best_estimator_.score(X, y)
    assert search.classes_[0].tolist() == ["no", "yes"]


@pytest.mark.parametrize("outputs", [1, 2])
def test_probabilities_of_rows_not_trained_on(quick, outputs):
    X, y = make_blobs(90, 2, centers=3, cluster_std=0.4, random_state=0)
    labels = y if outputs == 1 else np.column_stack([np.where(y > 0, "some", "none"), y.astype(str)])
    found = cross_val_predict(MultiTaskClassifier(**quick), X, labels, cv=3, method="predict_proba")
    assert [one.shape for one in (found if outputs == 2 else [found])] == (
        [(90, 3)] if outputs == 1 else [(90, 2), (90, 3)]
    )
    last = found if outputs == 1 else found[1]
    assert (last.argmax(1) == y).mean() > 0.9
    predicted = cross_val_predict(MultiTaskClassifier(**quick), X, labels, cv=3)
    assert predicted.shape == labels.shape


def test_importance_by_permutation(table, quick):
    X, y = table
    fitted = MultiTaskMixed(**quick).fit(X, y)
    found = permutation_importance(fitted, X, y, n_repeats=3, random_state=0)
    by_column = dict(zip(X.columns, found.importances_mean, strict=True))
    assert by_column["liking"] > max(by_column["age"], by_column["device"], by_column["member"])
    assert by_column["liking"] > 0.1


def test_calibrated_classifier(quick):
    X, y = make_blobs(120, 2, centers=2, cluster_std=3, random_state=0)
    weights = np.random.default_rng(0).random(120) + 0.5
    calibrated = CalibratedClassifierCV(MultiTaskClassifier(**quick), cv=3).fit(X, y, sample_weight=weights)
    assert calibrated.predict_proba(X).shape == (120, 2)
    assert log_loss(y, calibrated.predict_proba(X)) < np.log(2)


def test_work_in_processes_gives_what_one_process_gives(quick):
    X, y = make_regression(60, 3, n_targets=2, noise=1, random_state=0)
    one, two = (cross_val_score(MultiTaskRegressor(**quick), X, y, cv=2, n_jobs=jobs) for jobs in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-3)


def test_the_seed_decides(quick):
    X, y = make_regression(50, 3, noise=1, random_state=0)
    kind = MultiTaskRegressor

    def predicted(random_state):
        return kind(**{**quick, "random_state": random_state}).fit(X, y).predict(X)

    np.testing.assert_array_equal(predicted(3), predicted(np.int64(3)))
    np.testing.assert_array_equal(predicted(np.random.RandomState(3)), predicted(np.random.RandomState(3)))
    assert not np.array_equal(predicted(3), predicted(4))
    state = np.random.RandomState(3)
    assert not np.array_equal(predicted(state), predicted(state))
    saved = np.random.get_state()  # noqa: NPY002  # None means this generator
    try:
        np.random.seed(7)  # noqa: NPY002
        first = predicted(None)
        assert not np.array_equal(predicted(None), first)
        np.random.seed(7)  # noqa: NPY002
        np.testing.assert_array_equal(predicted(None), first)
    finally:
        np.random.set_state(saved)  # noqa: NPY002


def test_options_are_kept_as_they_are_given():
    options = {
        "tasks": {"y": "laplace"},
        "hidden": (4, 3),
        "subnets": {"tower.*": 0.003, "shared": {"lr": 0.0}},
        "gradients": "pcgrad",
        "objective": {"kind": "fixed", "weights": {"y": 2.0, "z": 1.0}},
        "weight_decay": np.float32(0.5),
        "dropout": 0.1,
        "norm": "layer",
        "overrides": {"training.log_every": 3, "optimizer.name": "adam"},
    }
    regressor = MultiTaskRegressor(**options, epochs=1, batch_size=np.int64(8), device="cpu")
    assert all(regressor.get_params()[name] is value for name, value in options.items())
    assert clone(regressor).get_params() == regressor.get_params()
    draw = np.random.default_rng(0)
    y = pd.DataFrame(draw.normal(size=(20, 2)), columns=["y", "z"])
    config = regressor.fit(draw.normal(size=(20, 2)), y).model_.config
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.weight_decay) == ("adam", 0.001, 0.5)
    assert config.optimizer.subnets["tower.*"].lr == 0.003
    assert config.optimizer.subnets["shared"].lr == 0
    assert (config.balance.gradients.kind, config.balance.objective.options["weights"]) == ("pcgrad", {"y": 2, "z": 1})
    assert (config.network.sharing.options["hidden"], config.network.towers.hidden) == ([4, 3], [64])
    assert (config.network.dropout, config.network.norm) == (0.1, "layer")
    assert (config.training.batch_size, config.training.log_every) == (8, 3)
    assert config.tasks["z"].kind == "regression"
    assert all(regressor.get_params()[name] is value for name, value in options.items())
