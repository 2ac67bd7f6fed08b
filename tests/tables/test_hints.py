"""Hints of what a misspelt name may have meant: names that a user has, never ours."""

import polars as pl
import pytest

from trunkline import UserError, fit, importance
from trunkline.errors import did_you_mean
from trunkline.tables.rows import ROW


@pytest.mark.parametrize("name", ["row", "_row_", "__row", "rows", ROW])
def test_our_own_names_are_never_meant(name):
    assert did_you_mean(name, [ROW]) == ""
    assert did_you_mean(name, [ROW, f"{name}x"]) == f"; did you mean '{name}x'?"


def test_rows_without_a_weight_column_are_refused_in_the_users_words(tmp_path):
    rows = pl.DataFrame({"x": [0.0, 1.0] * 30, "click": [0, 1] * 30, "row": [1.0, 2.0] * 30, "rows": [1] * 60})
    config = {
        "features": {"x": "numeric"},
        "tasks": {"click": {"kind": "binary", "weight": "row"}},
        "training": {"epochs": 1, "batch_size": 6, "device": "cpu"},
    }
    model = fit(config, train=rows, valid=rows)
    without = rows.drop("row", "rows")
    without.write_parquet(tmp_path / "rows.parquet")
    for ask in (
        lambda: model.evaluate(without),
        lambda: model.score(tmp_path / "rows.parquet"),
        lambda: importance(model.path, test=without),
    ):
        with pytest.raises(UserError, match="weight column 'row' is not in the table; add it, with 1") as refused:
            ask()
        assert "__" not in str(refused.value)
    with pytest.raises(UserError, match="did you mean 'rows'"):
        model.evaluate(rows.drop("row"))
