import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trunkline import UserError, fit
from trunkline.inference.kept_columns import kept_columns


def names(keep, present, made=("click", "dwell", "dwell_sigma"), labels=("click", "seconds")):
    return kept_columns(keep, present=present, made=made, labels=labels)


def test_a_label_stands_beside_its_estimate():
    assert names(["click"], ["user", "click"]) == {"click": "label_click"}
    assert names(["seconds", "user", "user"], ["user", "seconds"]) == {"seconds": "seconds", "user": "user"}
    assert names(["*"], ["dwell", "click", "user"]) == {"dwell": "input_dwell", "click": "label_click", "user": "user"}
    assert names([], ["click"]) == {}


@pytest.mark.parametrize(
    ("keep", "present", "made", "word"),
    [
        (["clik"], ["click"], ["click"], "did you mean 'click'"),
        (["click", "label_click"], ["click", "label_click"], ["click"], "would be written as 'label_click'"),
        (["click"], ["click"], ["click", "label_click"], "would be written as 'label_click'"),
    ],
)
def test_what_cannot_be_kept(keep, present, made, word):
    with pytest.raises(UserError, match=word):
        names(keep, present, made)


@pytest.fixture(scope="module")
def model(make_rows):
    config = {
        "features": {"price": "numeric", "user": "categorical"},
        "tasks": {"click": "binary", "secs": {"kind": "lognormal", "label": "dwell", "where": "click"}},
        "network": {"sharing": {"hidden": [4]}, "towers": {"hidden": []}},
        "training": {"epochs": 1, "batch_size": 50, "device": "cpu"},
    }
    return fit(config, train=make_rows(120), valid=different_rows(make_rows))


def different_rows(make_rows):
    """Validation rows of which no two are alike: batches of other shapes then part none by their last bits."""
    return make_rows(80, seed=1).with_columns(pl.col("price").fill_null(pl.int_range(pl.len()) / 4))


def test_a_frame_comes_back_with_its_columns_and_decisions(model, make_rows):
    rows = make_rows(40, seed=3)
    found = model.predict(rows, keep=["click", "dwell", "user"], decide={"click": "rate:0.5"})
    assert found.columns[:5] == ["label_click", "dwell", "user", "click", "click_decision"]
    assert_frame_equal(found.drop("label_click", "dwell", "user", "click_decision"), model(rows))
    assert_frame_equal(found.select("dwell", "user"), rows.select("dwell", "user"))
    assert found["label_click"].to_list() == rows["click"].to_list()
    assert_frame_equal(model.predict(rows), model(rows))


def test_a_frame_of_pandas_comes_back_as_one(model, make_rows):
    rows = make_rows(40, seed=3)
    columns = {name: rows[name].to_list() for name in ("price", "user", "click")}
    brought = pd.DataFrame(columns, index=range(100, 140)).assign(day=pd.Categorical(["mon", "tue"] * 20))
    found = model.predict(brought, keep=["click", "day"], decide={"click": "f1"})
    assert list(found.columns[:4]) == ["label_click", "day", "click", "click_decision"]
    pd.testing.assert_series_equal(found["day"], brought["day"])
    assert found["label_click"].to_list() == columns["click"]
    expected = model.predict(rows, decide={"click": "f1"})
    assert found["click_decision"].to_list() == expected["click_decision"].to_list()


def test_thresholds_are_those_of_the_rows_that_validated(model, make_rows):
    """What a prediction of the validation rows flags is what the decision says of them."""
    valid = different_rows(make_rows)
    for rule in ("f1", "cost:1:3", "rate:0.2"):
        (decision,) = model.decisions({"click": rule}).values()
        made = model.predict(valid, keep=["click"], decide={"click": rule})
        assert made["click_decision"].mean() == pytest.approx(decision.flagged)
        both = made.select(pl.col("click_decision") * pl.col("label_click")).sum().item()
        assert both == pytest.approx(decision.recall * valid["click"].sum())
        assert model.decisions({"click": rule}) == {"click": decision}
