"""Scores of conditional and joint probabilities, against scikit-learn on products formed by hand."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk
import torch

from trunkline import fit
from trunkline.datasets import feed
from trunkline.inference.calibration import Temperature
from trunkline.inference.evaluate import final_outputs, raw_outputs, scores
from trunkline.tasks import Binary, Multiclass, Regression, sample_space

N = 400
CLICK = Binary(name="click")
SPACES = [CLICK, Binary(name="buy", space="click"), Binary(name="pay", space="buy", weight="w")]
WHERES = [CLICK, Binary(name="buy", where="click"), Binary(name="pay", where="buy", weight="w")]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def raws():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(N, 1, generator=generator) for name in ("click", "buy", "pay")}


@pytest.fixture
def p(raws):
    return {name: sigmoid(raw[:, 0].double().numpy()) for name, raw in raws.items()}


@pytest.fixture
def labels():
    """Of all rows, some of them null."""
    draw = np.random.default_rng(1)
    happened = {name: (draw.random(N) < 0.6).astype(np.float32) for name in ("click", "buy", "pay")}
    happened["buy"] *= happened["click"]
    happened["pay"] *= happened["buy"]
    for label in happened.values():
        label[draw.random(N) < 0.1] = np.nan
    # what happened later says what happened before
    happened["buy"][happened["click"] == 0] = np.nan
    happened["pay"][(happened["click"] == 0) | (happened["buy"] == 0)] = np.nan
    return {name: torch.from_numpy(label) for name, label in happened.items()}


@pytest.fixture
def weights():
    weight = torch.rand(N, generator=torch.Generator().manual_seed(2)) * 3
    weight[::7] = 0
    return {"pay": weight}


def by_hand(estimate, label, weight=None):
    """Weights leave rows out, and that is all they do to a score."""
    label = np.asarray(label, dtype=float)
    kept = ~np.isnan(label) & (np.ones(N) if weight is None else weight.numpy() > 0).astype(bool)
    return {
        "auc": sk.roc_auc_score(label[kept], estimate[kept]),
        "log_loss": sk.log_loss(label[kept], estimate[kept]),
        "average_precision": sk.average_precision_score(label[kept], estimate[kept]),
        "rows": kept.sum(),
    }


def assert_scored(found, estimate, label, weight=None):
    expected = by_hand(estimate, label, weight)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_spaces_are_scored_jointly_over_all_rows_and_conditionally_inside(raws, p, labels, weights):
    inside = sample_space(SPACES, labels)
    found = scores(SPACES, raws, inside, weights)
    assert list(found) == ["click", "buy", "buy|click", "pay", "pay|buy"]
    click, buy, pay = (labels[name].numpy() for name in ("click", "buy", "pay"))
    over_all = np.where(click == 0, 0, buy)
    assert_scored(found["click"], p["click"], click)
    assert_scored(found["buy"], p["click"] * p["buy"], over_all)
    assert_scored(found["buy|click"], p["buy"], np.where(click == 1, buy, np.nan))
    paid = np.where((click == 0) | (buy == 0), 0, pay)
    assert_scored(found["pay"], p["click"] * p["buy"] * p["pay"], paid, weights["pay"])
    assert_scored(found["pay|buy"], p["pay"], np.where(over_all == 1, paid, np.nan), weights["pay"])


def test_wheres_are_scored_inside_and_jointly_over_all_rows(raws, p, labels, weights):
    inside = sample_space(WHERES, labels)
    found = scores(WHERES, raws, inside, weights)
    assert list(found) == ["click", "buy", "click&buy", "pay", "click&buy&pay"]
    click, buy, pay = (labels[name].numpy() for name in ("click", "buy", "pay"))
    assert_scored(found["buy"], p["buy"], np.where(click == 1, buy, np.nan))
    both = np.where(click == 0, 0, np.where(click == 1, buy, np.nan))
    assert_scored(found["click&buy"], p["click"] * p["buy"], both)
    assert_scored(found["pay"], p["pay"], np.where((click == 1) & (buy == 1), pay, np.nan), weights["pay"])
    three = np.where(both == 1, pay, both)
    assert_scored(found["click&buy&pay"], p["click"] * p["buy"] * p["pay"], three, weights["pay"])


def test_a_where_inside_a_space_is_joint_with_all_of_it(raws, p, labels):
    tasks = [CLICK, SPACES[1], Binary(name="pay", where="buy")]
    found = scores(tasks, raws, sample_space(tasks, labels), {})
    assert list(found) == ["click", "buy", "buy|click", "pay", "buy&pay"]
    click, buy, pay = (labels[name].numpy() for name in ("click", "buy", "pay"))
    bought = np.where(click == 0, 0, buy)
    assert_scored(found["pay"], p["pay"], np.where(bought == 1, pay, np.nan))
    three = np.where(bought == 1, pay, bought)
    assert_scored(found["buy&pay"], p["click"] * p["buy"] * p["pay"], three)


def test_the_order_of_the_tasks_plays_no_part(raws, labels, weights):
    for tasks in (SPACES, WHERES):
        one = scores(tasks, raws, sample_space(tasks, labels), weights)
        turned = tasks[::-1]
        assert scores(turned, raws, sample_space(turned, labels), weights) == one


def test_a_task_of_another_kind_has_no_joint_probability(labels):
    tasks = [CLICK, Regression(name="dwell", where="click"), Multiclass(name="topic", where="click", classes=3)]
    raws = {"click": torch.zeros(4, 1), "dwell": torch.zeros(4, 1), "topic": torch.zeros(4, 3)}
    label = {name: torch.tensor([1.0, 0.0, 1.0, 1.0]) for name in raws}
    assert list(scores(tasks, raws, sample_space(tasks, label), {})) == ["click", "dwell", "topic"]


@pytest.mark.parametrize("tasks", [SPACES, WHERES], ids=["space", "where"])
def test_calibration_changes_the_plain_scores_alone(tasks, raws, labels, weights):
    inside = sample_space(tasks, labels)
    plain = scores(tasks, raws, inside, weights)
    one, calibrators = Temperature(0.3), {"click": Temperature(3.0), "buy": Temperature(0.3)}
    found = scores(tasks, raws, inside, weights, calibrators=calibrators)
    assert {name for name in found if found[name] != plain[name]} == {"click", "buy"}
    made = final_outputs(tasks, raws)["buy"]
    expected = inside["buy"]
    assert found["buy"]["log_loss"] == pytest.approx(
        float(replace(CLICK, name="x").loss(one(made), expected)[~expected.isnan()].mean()), abs=1e-6
    )
    assert found["buy"]["auc"] == plain["buy"]["auc"]  # a temperature moves no row past another


def test_final_outputs_are_joint_then_calibrated(raws):
    made = final_outputs(SPACES, raws, {"click": Temperature(2.0), "pay": Temperature(0.5)})
    plain = final_outputs(SPACES, raws)
    assert torch.equal(made["click"], raws["click"] * 2)
    assert torch.equal(made["pay"], plain["pay"] * 0.5)
    assert torch.equal(made["buy"], plain["buy"])  # formed from the click tower as it is


def test_a_run_reports_all_of_them():
    """And the network's mode is as it was."""
    rows = feed.simulate(1500, seed=1)
    config = {
        "features": {"price": "numeric", "device": "categorical"},
        "tasks": {"click": "binary", "purchase": {"kind": "binary", "space": "click"}},
        "network": {"sharing": {"hidden": [4]}, "towers": {"hidden": []}, "norm": "batch"},
        "training": {"epochs": 1, "batch_size": 250, "device": "cpu", "select": "purchase.auc"},
    }
    model = fit(config, train=rows, valid=rows)
    found = model.metrics["valid"]
    assert list(found) == ["click", "purchase", "purchase|click"]
    assert found["purchase"]["rows"] == len(rows)
    assert found["purchase|click"]["rows"] == rows["click"].sum()
    assert model.metrics["score"] == found["purchase"]["auc"]
    made = model(rows)
    assert made.columns == ["click", "purchase", "purchase_given_click"]
    product = made["click"].cast(float) * made["purchase_given_click"].cast(float)
    np.testing.assert_allclose(made["purchase"].to_numpy(), product.to_numpy(), rtol=1e-5)
    again = model.evaluate(rows)
    assert again.keys() == found.keys()
    assert {name: again[name] for name in found} == {name: pytest.approx(found[name], abs=1e-4) for name in found}


def test_raw_outputs_put_every_parts_mode_back():
    """Parts that stand in evaluation mode amid a network in training are found so again."""
    rows = feed.simulate(300)
    config = {
        "features": {"price": "numeric"},
        "tasks": {"click": "binary"},
        "network": {"sharing": {"hidden": [4]}, "norm": "batch", "dropout": 0.5},
        "training": {"epochs": 1, "batch_size": 100, "device": "cpu"},
    }
    loops = []
    fit(config, train=rows, on_start=loops.append)
    network = loops[0].network
    network.train()
    network.sharing.eval()
    modes = {name: part.training for name, part in network.named_modules()}
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    raw_outputs(network, loops[0].train, torch.device("cpu"))
    assert {name: part.training for name, part in network.named_modules()} == modes
    assert all(tensor.equal(state[name]) for name, tensor in network.state_dict().items())
