"""How long is trained, and on which rows."""

import numpy as np
import pytest

from trunkline.config import NetworkConfig, OptimizerConfig, TrainingConfig
from trunkline.config.balance import BalanceConfig
from trunkline.errors import UserError
from trunkline.sklearn import MultiTaskClassifier, MultiTaskRegressor
from trunkline.sklearn.training_length import epochs_for, rows_a_step
from trunkline.sklearn.validation_rows import validation_rows


def test_defaults_are_the_configs():
    ours = MultiTaskClassifier().get_params()
    network, balance, optimizer = NetworkConfig(), BalanceConfig(), OptimizerConfig()
    theirs = {
        "sharing": network.sharing.kind,
        "tower_hidden": tuple(network.towers.hidden),
        "dropout": network.dropout,
        "norm": network.norm,
        "activation": network.activation,
        "objective": balance.objective.kind,
        "gradients": "none" if balance.gradients is None else balance.gradients.kind,
        "learning_rate": optimizer.lr,
        "weight_decay": optimizer.weight_decay,
        "device": TrainingConfig().device,
    }
    assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.parametrize("rows", [2, 20, 31, 500, 10_000, 123_456, 5_000_000])
def test_any_table_is_gone_through_a_sensible_number_of_times(rows):
    size = rows_a_step(rows)
    epochs = epochs_for(rows, size)
    assert 32 <= size <= 4096
    assert size & (size - 1) == 0
    assert 10 <= epochs <= 100
    assert epochs in (10, 100) or 1000 <= epochs * -(-rows // size) < 1000 + -(-rows // size)


def test_validation_rows_hold_no_class_alone():
    draw = np.random.default_rng(0)
    for seed in range(20):
        places = [draw.integers(-1, 4, 60), np.arange(60) // 2]
        held = validation_rows(60, places, share=0.4, seed=seed)
        assert 0 < held.sum() < 30
        for place in places:
            assert set(place[held]) <= set(place[~held])
        np.testing.assert_array_equal(held, validation_rows(60, places, share=0.4, seed=seed))
    assert validation_rows(60, [], share=0.25, seed=0).sum() == 15


def test_a_share_chooses_the_epoch(quick, capsys):
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(60, 3)), draw.integers(0, 2, 60)  # nothing to learn: the first epochs are the best
    options = {**quick, "epochs": 30, "validation_fraction": 0.3, "patience": 2}
    fitted = MultiTaskClassifier(**options, verbose=1).fit(X, y)
    metrics = fitted.model_.metrics
    assert metrics["valid"]["y"]["rows"] == 18
    assert metrics["epochs"] == metrics["selected_epoch"] + 2 < 30
    printed = [line for line in capsys.readouterr().out.splitlines() if "validation score" in line]
    assert len(printed) == metrics["epochs"]
    assert "(best)" in printed[metrics["selected_epoch"] - 1]

    assert "valid" not in MultiTaskClassifier(**quick).fit(X, y).model_.metrics
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("share", [-0.1, 1, "some", None])
def test_other_shares_are_refused(quick, share):
    with pytest.raises(UserError, match="validation_fraction"):
        MultiTaskRegressor(**quick, validation_fraction=share).fit([[0], [1], [2]], [0, 1, 2])


def test_options_that_make_no_config_are_told_together(quick):
    wrong = MultiTaskRegressor(**{**quick, "learning_rate": -1, "epochs": 0}, dropout=2, sharing="mmeo")
    with pytest.raises(UserError) as told:
        wrong.fit([[0], [1], [2]], [0, 1, 2])
    assert len(told.value.problems) == 4
    assert "did you mean 'mmoe'" in str(told.value)
    for options in ({"batch_size": "big"}, {"epochs": "many"}, {"patience": "much"}, {"subnets": {"twr.*": 0.1}}):
        with pytest.raises(UserError):
            MultiTaskRegressor(**{**quick, **options}).fit([[0], [1], [2]], [0, 1, 2])
