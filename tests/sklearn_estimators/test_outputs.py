"""What estimators take for y, and what they give back."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import accuracy_score, r2_score

import trunkline
from trunkline.errors import UserError
from trunkline.sklearn import MultiTaskClassifier, MultiTaskMixed, MultiTaskRegressor

KINDS = {"click": "binary", "topic": "multiclass", "dwell": {"kind": "lognormal", "where": "click"}}


@pytest.fixture(scope="module")
def mixed(table, quick):
    X, y = table
    return MultiTaskMixed(tasks=KINDS, **quick).fit(X, y)


def test_outputs_of_every_kind_come_back_as_they_were_given(mixed, table):
    X, _ = table
    classes = mixed.classes_
    assert [None if one is None else one.tolist() for one in classes] == [["no", "yes"], [0, 10, 20], None]
    assert (mixed.n_outputs_, mixed.task_names_, mixed.n_features_in_) == (3, ["click", "topic", "dwell"], 5)
    assert mixed.feature_names_in_.tolist() == list(X.columns)

    predicted, (click, topic, dwell) = mixed.predict(X), mixed.predict_proba(X)
    assert dwell is None
    assert predicted.shape == (90, 3)
    assert (predicted[:, 0] == classes[0][click.argmax(1)]).all()
    assert (predicted[:, 1] == classes[1][topic.argmax(1)]).all()
    np.testing.assert_allclose([click.sum(1), topic.sum(1)], 1, rtol=1e-12)
    estimates = mixed.model_(X)
    np.testing.assert_allclose(click[:, 1], estimates["click"])
    np.testing.assert_array_equal(predicted[:, 2].astype(float), estimates["dwell"])


def test_scores_are_scikit_learns_over_observed_rows(mixed, table):
    X, y = table
    weights, predicted = np.random.default_rng(0).random(90), mixed.predict(X)
    there = y.notna().to_numpy()
    there[:, 2] &= (y["click"] == "yes").to_numpy()
    wanted = {
        "click": accuracy_score(y["click"][there[:, 0]], predicted[there[:, 0], 0], sample_weight=weights[there[:, 0]]),
        "topic": accuracy_score(
            y["topic"][there[:, 1]].astype(int),
            predicted[there[:, 1], 1].astype(int),
            sample_weight=weights[there[:, 1]],
        ),
        "dwell": r2_score(y["dwell"][there[:, 2]], predicted[there[:, 2], 2], sample_weight=weights[there[:, 2]]),
    }
    assert mixed.task_scores(X, y, weights) == pytest.approx(wanted)
    assert mixed.score(X, y, sample_weight=weights) == pytest.approx(np.mean(list(wanted.values())))
    assert wanted["click"] > 0.8
    assert wanted["dwell"] > 0.5
    unseen = y.assign(dwell=np.nan)
    assert mixed.task_scores(X, unseen)["dwell"] is None
    assert mixed.score(X, unseen) == pytest.approx(
        np.mean([mixed.task_scores(X, y)[one] for one in ("click", "topic")])
    )
    with pytest.raises(ValueError, match="nothing to score"):
        mixed.score(X, y.assign(click=None, topic=pd.NA, dwell=np.nan))


def test_other_labels_than_those_of_fit_are_not_scored(mixed, table):
    X, y = table
    with pytest.raises(
        ValueError, match="y has the columns dwell, topic, click; this estimator was fitted to click, topic"
    ):
        mixed.score(X, y[["dwell", "topic", "click"]])
    with pytest.raises(ValueError, match="y has 2 outputs; this estimator was fitted to 3"):
        mixed.score(X, y[["click", "topic"]])
    assert mixed.score(X, y.to_numpy(dtype=object)) == mixed.score(X, y)
    # a class that nobody has seen is wrong, and nothing happened there
    unseen = y.assign(click=y["click"].where(y["click"] != "no", "perhaps"))
    assert mixed.task_scores(X, unseen)["dwell"] == mixed.task_scores(X, y)["dwell"]
    assert mixed.task_scores(X, unseen)["click"] < mixed.task_scores(X, y)["click"]


def test_kinds_are_found_where_none_are_given(table, quick):
    X, y = table
    fitted = MultiTaskMixed(**quick).fit(X, y)
    assert [task.kind for task in fitted.model_.network.tasks] == ["binary", "multiclass", "lognormal"]
    halves = MultiTaskMixed(**quick).fit(X, np.where(X["liking"] > 0, 0.5, 0.25))
    assert [task.kind for task in halves.model_.network.tasks] == ["regression"]
    assert halves.classes_ is None
    assert not hasattr(halves, "predict_proba")


def test_an_estimator_trains_as_fit_does(table, quick):
    X, y = table
    options = {**quick, "epochs": 3, "batch_size": 32, "random_state": 5}
    config = {
        "features": {
            "liking": "numeric",
            "age": "numeric",
            "place": "categorical",
            "device": "categorical",
            "member": "boolean",
        },
        "tasks": {"dwell": "lognormal", "again": "regression"},
        "network": {"sharing": {"hidden": [16]}, "towers": {"hidden": [8]}},
        "optimizer": {"lr": 0.02},
        "training": {"epochs": 3, "batch_size": 32, "seed": 5, "device": "cpu"},
    }
    labels = y[["dwell"]].assign(again=y["dwell"] ** 2)
    model = trunkline.fit(config, train=pd.concat([X, labels], axis=1))
    fitted = MultiTaskRegressor(tasks={"dwell": "lognormal"}, **options).fit(X, labels)
    np.testing.assert_array_equal(fitted.predict(X), model(X)[["dwell", "again"]].to_numpy(dtype=float))


@pytest.mark.parametrize("labels", [[3, 8, 9], [-1.0, 0.5, 2.0], ["a", "b", "ü"], [False, True]], ids=str)
def test_one_dimension_in_one_dimension_out(quick, labels):
    X, places = make_blobs(60, 2, centers=len(labels), cluster_std=0.3, random_state=3)
    y = np.array(labels)[places]
    if y.dtype.kind == "f":
        y = y * 2  # whole numbers: scikit-learn takes no others for classes
    fitted = MultiTaskClassifier(**quick).fit(X, y)
    assert fitted.classes_.tolist() == sorted(set(y.tolist()))
    assert fitted.predict(X).dtype == y.dtype
    assert fitted.predict_proba(X).shape == (60, len(labels))
    assert fitted.score(X, y) == accuracy_score(y, fitted.predict(X)) > 0.9

    column = MultiTaskClassifier(**quick).fit(X, y[:, None])
    assert column.predict(X).shape == (60, 1)
    np.testing.assert_array_equal(column.predict_proba(X)[0], fitted.predict_proba(X))


def test_the_same_labels_in_any_container_give_the_same(quick):
    draw = np.random.default_rng(1)
    X, y = draw.normal(size=(50, 3)), draw.integers(0, 3, (50, 2)).astype(float)
    y[draw.random((50, 2)) < 0.2] = np.nan
    frame = pd.DataFrame(y, columns=["y0", "y1"])
    forms = [
        y,
        [[None if value != value else int(value) for value in row] for row in y.tolist()],
        frame,
        frame.astype("Int64"),
        frame.astype(object).where(frame.notna(), None),
        pl.from_pandas(frame).fill_nan(None).cast(pl.Int64),
        pl.from_pandas(frame),
    ]
    found = [MultiTaskClassifier(**quick).fit(X, form).predict(X) for form in forms]
    for one in found[1:]:
        np.testing.assert_array_equal(one.astype(float), found[0])


def test_missing_labels_teach_nothing(quick):
    """Rows without any label move neither classes nor losses; those of a network with one task are no rows at all."""
    X, y = make_blobs(80, 2, centers=2, cluster_std=0.5, random_state=0)
    holes = y.astype(object)
    holes[::2] = None
    wrong = np.where(np.arange(80) % 2 == 0, 1 - y, y)
    fitted = MultiTaskClassifier(**quick).fit(X, holes)
    assert fitted.classes_.tolist() == [0, 1]
    assert fitted.score(X, holes) == accuracy_score(y[1::2], fitted.predict(X)[1::2])
    assert fitted.score(X, y) > 0.95
    assert MultiTaskClassifier(**quick).fit(X, wrong).score(X, y) < 0.95


def test_what_is_wrong_with_y_is_told_at_once(quick, table):
    X, _ = table
    classifier, n = MultiTaskClassifier(**quick), len(X)
    with pytest.raises(UserError) as told:
        classifier.fit(X, pd.DataFrame({"one": ["a"] * n, "none": [None] * n, "both": ["a", "b"] * (n // 2)}))
    assert told.value.problems == [
        "output 'one' has one class, 'a', in these rows; a classifier needs two classes or more",
        "output 'none': every label is missing; leave it out, or give rows in which it was observed",
    ]
    two = pd.Series(np.arange(n) % 2, name="click")
    for tasks, words in [
        ("regression", "kind regression is none of classes"),
        ("unheard", "unheard"),
        ({"klick": "binary"}, "tasks.klick: y has no such output; did you mean 'click'"),
        ({"click": 3}, "tasks.click is 3"),
        ({"click": {"positive": 1, "weight": "age"}}, "weight, positive say how a column is read"),
        (["binary"], "tasks is"),
    ]:
        with pytest.raises(UserError, match=words):
            MultiTaskClassifier(tasks=tasks, **quick).fit(X, two)
    with pytest.raises(UserError, match="3 classes"):
        MultiTaskClassifier(tasks="binary", **quick).fit(X, np.arange(n) % 3)
    with pytest.raises(UserError, match="outputs of numbers alone"):
        MultiTaskRegressor(tasks="binary", **quick).fit(X, two)
    for labels, words in [
        (["a"] * n, "'a'"),
        (["1.5", "2.5"] * (n // 2), "'1.5'"),
        (pd.Series(["1.5", 2.5] * (n // 2)), "'1.5'"),
        (pd.date_range("2024", periods=n).to_series(), "datetime64"),
    ]:
        with pytest.raises(UserError, match=f"is a number, and y has .*{words}"):
            MultiTaskRegressor(**quick).fit(X, labels)
    with pytest.raises(UserError, match="random_state is -1"):
        MultiTaskRegressor(**{**quick, "random_state": -1}).fit(X, two)
    with pytest.raises(UserError, match="called as a class's estimate"):
        classifier.fit(X, pd.DataFrame({"y": np.arange(n) % 3, "y_1": two}))
    with pytest.raises(UserError, match="would all be task a_b"):
        classifier.fit(X, pd.DataFrame({"a b": two, "a_b": two}))
    with pytest.raises(ValueError, match="shape"):
        classifier.fit(X, np.zeros((n, 0)))
    assert not hasattr(classifier, "model_")


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
@pytest.mark.parametrize("estimator", [MultiTaskClassifier, MultiTaskMixed])
def test_moments_as_classes_come_back_as_moments(unit, estimator, quick):
    X = np.random.default_rng(0).normal(size=(60, 2))
    days = np.array(["2024-01-31", "2031-02-01"], dtype=f"datetime64[{unit}]")
    y = days[(X[:, 0] > 0).astype(int)]
    with_holes = np.where(np.arange(60) % 7 == 0, np.datetime64("NaT"), y)
    options = {**quick, "epochs": 2}
    for one in (y, with_holes):
        fitted = estimator(**options).fit(X, one)
        assert fitted.classes_.dtype == fitted.predict(X).dtype == days.dtype
        np.testing.assert_array_equal(fitted.classes_, days)
    other = np.where(X[:, 1] > 0, "up", "down")
    for two in (np.column_stack([y, y[::-1]]), pd.DataFrame({"a": y, "b": y})):
        fitted = estimator(**options).fit(X, two)
        found = fitted.predict(X)
        assert found.dtype == fitted.classes_[0].dtype
        assert found.dtype.kind == "M"
        assert np.isin(found, days).all()
    mixed = estimator(**options).fit(X, pd.DataFrame({"a": y, "b": other})).predict(X)
    assert mixed.dtype == object
    assert all(isinstance(one, np.datetime64) and one in days for one in mixed[:, 0])
    assert set(mixed[:, 1]) <= {"up", "down"}


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.dt.tz_localize("UTC"),
        lambda y: y.dt.to_period("M"),
        lambda y: y.dt.date,
    ],
)
def test_classes_of_other_types_are_refused_in_words(change, quick):
    y = pd.Series(pd.date_range("2024-01-01", periods=2)).repeat(20).reset_index(drop=True)
    with pytest.raises(UserError, match=r"output 'y' holds .*; classes are text, whole numbers, truths or datetime64"):
        MultiTaskClassifier(**quick).fit(np.arange(40.0)[:, None], change(y))


def test_columns_get_names_that_tasks_may_have(quick, table):
    X, y = table
    fitted = MultiTaskMixed(tasks={"dwell time": "lognormal", "2nd": {"reads": ["dwell_time"]}}, **quick).fit(
        X, pd.DataFrame({"dwell time": y["dwell"], "2nd": y["click"]})
    )
    assert fitted.task_names_ == ["dwell_time", "_2nd"]
    numbers = np.random.default_rng(0).normal(size=(90, 2))
    for tasks, wanted in [
        ({"far": "laplace", "near": "huber"}, {"far": "laplace", "near": "huber"}),
        ({"y1": "laplace", "y0": "huber"}, {"y0": "huber", "y1": "laplace"}),
        ({"y1": "laplace"}, {"y0": "regression", "y1": "laplace"}),
    ]:
        arrays = MultiTaskRegressor(tasks=tasks, **quick).fit(X, numbers)
        assert {task.name: task.kind for task in arrays.model_.network.tasks} == wanted
        assert arrays.task_names_ == list(wanted)
