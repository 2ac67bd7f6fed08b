"""Tables whose columns are called 0, 1, 2: arrays, and pandas frames without names."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from trunkline import Config, UserError, fit

TRAINING = {"training": {"epochs": 1, "batch_size": 20, "device": "cpu"}}


@pytest.fixture(scope="module")
def array():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(160, 5))
    x[:, 3] = x[:, 0] > 0
    x[:, 4] = np.abs(x[:, 4]) + 0.1
    return x


FORMS = {
    "an array": lambda x: x,
    "pandas": pd.DataFrame,
    "columns": lambda x: dict(enumerate(x.T)),
    "records": lambda x: [dict(enumerate(row)) for row in x.tolist()],
    "names": lambda x: pl.DataFrame({str(i): column for i, column in enumerate(x.T)}),
}
TASKS = {
    3: "binary",
    1: {"kind": "regression", "where": 3, "weight": 4},
    "two": {"kind": "laplace", "label": 2, "reads": [3, 1]},
}


@pytest.mark.parametrize("form", FORMS)
def test_tasks_and_features_are_called_by_numbers(array, form):
    rows = FORMS[form](array)
    model = fit({"tasks": TASKS, "data": {"ignore": [4]}, **TRAINING}, train=rows, valid=rows)
    assert model.tasks == {"3": "binary", "1": "regression", "two": "laplace"}
    assert list(model.encoder.names) == ["0"]
    named = fit(
        {"tasks": {str(name): one for name, one in TASKS.items()}, "data": {"ignore": ["4"]}, **TRAINING},
        train=FORMS["names"](array),
        valid=FORMS["names"](array),
    )
    expected, found = named(FORMS["names"](array)), model(rows)
    assert isinstance(found, pd.DataFrame) == (form == "pandas")
    assert list(found.columns) == expected.columns
    for name in expected.columns:
        np.testing.assert_array_equal(np.asarray(found[name]), expected[name].to_numpy())


def test_numpys_own_numbers_and_overrides_name_columns_too(array):
    made = Config.make(
        {"tasks": {np.int64(3): "binary"}, "features": {0: "numeric", np.int32(1): "numeric"}},
        overrides={"tasks.3.weight": 4, "data.split": {"by": "group", "column": 2}},
    )
    assert made.tasks["3"].weight == "4"
    assert list(made.features) == ["0", "1"]
    assert made.data.split.column == "2"
    assert Config.make(made.model_dump()) == made


@pytest.mark.parametrize("name", [1.5, None, True])
def test_what_is_no_whole_number_names_nothing(name):
    with pytest.raises(UserError, match="tasks"):
        Config.make({"tasks": {name: "binary"}})
