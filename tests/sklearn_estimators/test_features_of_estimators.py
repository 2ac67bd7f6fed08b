"""What estimators take for X."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from trunkline.errors import UserError
from trunkline.sklearn import MultiTaskClassifier, MultiTaskRegressor


@pytest.fixture(scope="module")
def fitted(table, quick):
    X, y = table
    return MultiTaskClassifier(**quick).fit(X, y["click"])


def test_types_say_what_columns_are(fitted):
    kinds = {column.name: column.kind for column in fitted.model_.encoder.columns}
    assert kinds == {
        "liking": "numeric",
        "age": "numeric",
        "place": "categorical",
        "device": "categorical",
        "member": "boolean",
    }


def test_pandas_polars_and_arrays_give_the_same(table, quick):
    X, y = table
    numbers = X[["liking", "age"]]
    found = [
        MultiTaskClassifier(**quick).fit(form, y["click"]).predict_proba(form)
        for form in (numbers, pl.from_pandas(numbers), pl.from_pandas(numbers).lazy(), numbers.to_numpy())
    ]
    for one in found[1:]:
        np.testing.assert_array_equal(one, found[0])


def test_lists_dates_and_empty_columns_are_features(quick):
    n = 40
    X = pl.DataFrame(
        {
            "tags": [["a", "b"][: i % 3] for i in range(n)],
            "when": pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 2, 9), "1d", eager=True),
            "nothing": pl.Series([None] * n),
            "constant": [1.0] * n,
        }
    )
    y = [float(len(tags)) for tags in X["tags"]]
    fitted = MultiTaskRegressor(**quick).fit(X, y)
    assert [column.kind for column in fitted.model_.encoder.columns] == ["bag", "datetime", "numeric", "numeric"]
    assert fitted.score(X, y) > 0.5


def test_columns_are_checked_as_scikit_learn_does(fitted, table):
    X, _ = table
    with pytest.raises(ValueError, match="same order"):
        fitted.predict(X[X.columns[::-1]])
    with pytest.raises(ValueError, match=r"(?s)missing:.*age"):
        fitted.predict(X.drop(columns="age"))
    with pytest.raises(ValueError, match="1 sample"):
        fitted.__class__().fit(X.head(1), ["yes"])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        fitted.predict(X.head(0))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        MultiTaskClassifier().fit(sparse.eye(4, format="csr"), [0, 1, 0, 1])
    with pytest.raises(UserError, match="columns that stand twice: 'age'"):
        MultiTaskClassifier().fit(X[["age", "age"]], X["member"])
    numbers = MultiTaskRegressor(epochs=1, hidden=(4,), device="cpu").fit(X[["liking", "age"]], X["liking"])
    with pytest.warns(UserWarning, match="valid feature names"):
        numbers.predict(X[["liking", "age"]].to_numpy())


def test_whole_numbers_may_be_the_names_of_columns(quick):
    draw = np.random.default_rng(0)
    X = pd.DataFrame(draw.normal(size=(40, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = MultiTaskRegressor(**quick).fit(X, X[0])
        np.testing.assert_array_equal(fitted.predict(X), fitted.predict(X.to_numpy()))
    assert not hasattr(fitted, "feature_names_in_")


def test_features_may_be_named_or_found(table, quick):
    X, y = table
    named = MultiTaskClassifier(features={"age": "categorical", "liking": {"kind": "numeric", "log": True}}, **quick)
    assert named.fit(X, y["click"]).model_.encoder.names == ["age", "liking"]
    np.testing.assert_array_equal(named.predict(X), named.predict(X.assign(device="another")))
    X = X.assign(row=np.arange(1000, 1090), constant=1)
    found = MultiTaskClassifier(features="auto", **quick).fit(X, y["click"])
    assert "constant" not in found.model_.encoder.names
    assert {"constant", "row"} <= set(MultiTaskClassifier(**quick).fit(X, y["click"]).model_.encoder.names)


def test_ids_that_are_numbers_are_told(quick):
    draw = np.random.default_rng(0)
    X = pl.DataFrame({"user_id": draw.integers(0, 9, 60), "age": draw.integers(18, 80, 60), "seen": draw.random(60)})
    with pytest.warns(UserWarning, match=r"'user_id' \(an id, by its name\); make text") as told:
        MultiTaskRegressor(**quick).fit(X, X["seen"])
    assert "age" not in str(told[0].message)
    for form in (X.with_columns(pl.col("user_id").cast(pl.String)), X.to_numpy()):
        assert MultiTaskRegressor(**quick).fit(form, X["seen"]).n_features_in_ == 3
    assert MultiTaskRegressor(features="auto", **quick).fit(X, X["seen"]).n_features_in_ == 3


def test_labels_and_weights_may_be_called_as_features(quick):
    draw = np.random.default_rng(0)
    X = pd.DataFrame({"y": draw.normal(size=50), "sample_weight": draw.normal(size=50)})
    target = pd.Series(X["y"] + X["sample_weight"], name="y")
    fitted = MultiTaskRegressor(**quick).fit(X, target, sample_weight=np.ones(50))
    assert fitted.score(X, target) > 0.5
    np.testing.assert_array_equal(
        fitted.predict(X),
        MultiTaskRegressor(**quick).fit(X.to_numpy(), target.to_numpy(), sample_weight=[1] * 50).predict(X.to_numpy()),
    )


def test_columns_that_are_no_features_are_told_together(quick, table):
    X, y = table
    X = X.assign(took=pd.Timedelta("1h"), span=pd.Timedelta("2h"))
    with pytest.raises(UserError) as told:
        MultiTaskClassifier(**quick).fit(X, y["click"])
    assert [problem.split(" ")[1] for problem in told.value.problems] == ["'took'", "'span'"]
