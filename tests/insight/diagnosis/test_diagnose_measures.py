"""What the detectors read, held against what can be counted by hand."""

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import r2_score, roc_auc_score

from trunkline import fit
from trunkline.config import Config
from trunkline.insight.diagnosis.measures.dead_units import dead_units
from trunkline.insight.diagnosis.measures.interval import auc_interval
from trunkline.insight.diagnosis.measures.keys import BINS, KeyedColumn, Keys, keyed_columns
from trunkline.insight.diagnosis.measures.one_feature import one_feature_scores
from trunkline.insight.diagnosis.measures.pulls import pulls
from trunkline.insight.diagnosis.measures.shift import stability_index, unseen_share
from trunkline.insight.diagnosis.rates import rate_of
from trunkline.insight.short_run import ShortRun, first_batches
from trunkline.network import evaluating
from trunkline.tables import Batch, Encoder, Store, make_feature
from trunkline.tasks import Binary, Regression

PLAIN = {"network.dropout": 0.0, "tasks.dwell.weight": None}


@pytest.fixture
def trial(make_rows, settings):
    def trial(**changes):
        config = Config.make(settings, overrides={**PLAIN, **changes})
        return ShortRun.make(config, {"train": make_rows(seed=0), "valid": make_rows(90, seed=1), "test": None})

    return trial


def state(loop):
    return {k: v.clone() for k, v in (loop.network.state_dict() | loop.objective.state_dict()).items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network.embedding.sparse_above": 0},
        {"balance": {"objective": "uncertainty", "gradients": "pcgrad"}},
        {"balance": {"objective": "sum", "gradients": "pcgrad", "at": "parameters"}},
        {"network.sharing": {"kind": "cgc", "hidden": [6]}, "network.norm": "batch"},
    ],
)
def test_pulls_are_the_tasks_gradients_and_leave_no_trace(trial, changes):
    with trial(**changes).started() as loop:
        for batch in first_batches(loop, 3):
            loop.step(batch)
        loop.network.train()
        before, random = state(loop), torch.get_rng_state()
        found = pulls(loop.network, loop.objective, batch)
        assert all(torch.equal(value, before[name]) for name, value in state(loop).items())
        assert torch.get_rng_state().equal(random)
        assert all(parameter.training for parameter in loop.network.modules())

        assert {"embedding", "shared"} <= found.keys()
        network, fork = loop.network, loop.network.fork
        weights = fork.weights.clone()
        fork.balancer = None  # forward as the measure does, by the network's own way
        network.at = "fork"
        with evaluating(network):
            losses, active = network.losses(network(batch.ids, batch.numbers, batch.lists), batch.labels, batch.weights)
        weights = weights * loop.objective.evaluate(losses.detach(), active)[1]
        for subnet, product in found.items():
            rows = []
            for loss, weight in zip(losses, weights, strict=True):
                owned = network.parameters_by_subnet()[subnet]
                gradients = torch.autograd.grad(weight * loss, owned, retain_graph=True, allow_unused=True)
                dense = [
                    torch.zeros_like(p) if g is None else g.to_dense() for g, p in zip(gradients, owned, strict=True)
                ]
                rows.append(torch.cat([gradient.flatten() for gradient in dense]).double())
            expected = torch.stack(rows) @ torch.stack(rows).T
            torch.testing.assert_close(product, expected, rtol=1e-4, atol=1e-6 * float(expected.max()))


def test_nothing_is_shared_by_networks_that_share_nothing(trial):
    with trial(
        **{"network.sharing": {"kind": "single", "hidden": [6]}, "tasks.topic.gradient": "stop"}
    ).started() as loop:
        for batch in first_batches(loop, 1):
            assert pulls(loop.network, loop.objective, batch) == {}


def test_dead_units_are_counted_by_subnet_and_layer(trial):
    made = trial(**{"network.towers.hidden": [6, 5]})
    with made.started() as loop:
        with torch.no_grad():
            first, second = loop.network.towers.subnets[1][0].layers[0], loop.network.towers.subnets[1][0].layers[2]
            first.bias[:2], first.weight[:2] = -9.0, 0.0
            second.bias[:], second.weight[:] = -1.0, 0.0
        modes = [module.training for module in loop.network.modules()]
        layers = dead_units(loop.network, made.data.stores["valid"])
        assert [module.training for module in loop.network.modules()] == modes
    found = {(layer.subnet, layer.index): layer for layer in layers}
    assert found.keys() == {("shared", 0)} | {
        (f"tower.{t}", i) for t in ("click", "dwell", "buy", "topic") for i in (0, 1)
    }
    assert (found["tower.dwell", 0].units, found["tower.dwell", 1].units) == (6, 5)
    assert found["tower.dwell", 0].dead >= 2
    assert found["tower.dwell", 1].dead == 5
    assert {layer.rows for layer in layers} == {90}


def test_stacked_experts_and_gates_are_told_apart(trial):
    made = trial(**{"network.sharing": {"kind": "cgc", "shared": 2, "specific": 1, "hidden": [6, 4]}})
    with made.started() as loop:
        units = {(l.subnet, l.index): l.units for l in dead_units(loop.network, made.data.stores["valid"])}  # noqa: E741
    assert units["shared", 0] == 12
    assert units["shared", 1] == 8
    assert units["experts.buy", 1] == 4


def test_a_trial_is_the_training_that_fit_does(make_rows, settings):
    parts = {"train": make_rows(seed=0), "valid": make_rows(60, seed=1)}
    model = fit(settings, **parts, overrides={"training.epochs": 1})
    trial = ShortRun.make(Config.make(settings, overrides={"training.epochs": 1}), {**parts, "test": None})
    before = torch.get_rng_state()
    for _ in range(2):
        with trial.started() as loop:
            for batch in first_batches(loop, len(loop.train)):
                loop.step(batch)
            assert all(torch.equal(v, loop.network.state_dict()[k]) for k, v in model.network.state_dict().items())
    assert torch.get_rng_state().equal(before)


def column(train, other, *, kind="categorical", rows=None):
    keys = {"train": np.asarray(train), "valid": np.asarray(other)}
    lists = {"train": None, "valid": None} if rows is None else rows
    counts = {part: len(v) if lists[part] is None else int(lists[part].max()) + 1 for part, v in keys.items()}
    return KeyedColumn("x", kind, {part: Keys(v, lists[part], counts[part]) for part, v in keys.items()})


def rows_of(task, train, valid):
    nothing = torch.zeros(0, 0)
    return {
        part: Batch(nothing, nothing, {task: torch.tensor(np.asarray(v, dtype=float))}, {})
        for part, v in (("train", train), ("valid", valid))
    }


def test_a_column_alone_scores_as_its_smoothed_means_do():
    draw = np.random.default_rng(0)
    train, valid = draw.integers(2, 9, 500), draw.integers(2, 9, 300)
    labels = {
        "train": (draw.random(500) < train / 10).astype(float),
        "valid": (draw.random(300) < valid / 10).astype(float),
    }
    labels["train"][:7], labels["valid"][:5] = np.nan, np.nan
    (score,) = one_feature_scores(
        column(train, valid), "valid", (Binary(name="y"),), rows_of("y", labels["train"], labels["valid"])
    ).values()
    known = ~np.isnan(labels["train"])
    overall = labels["train"][known].mean()
    means = {
        key: (labels["train"][known & (train == key)].sum() + 5 * overall) / ((known & (train == key)).sum() + 5)
        for key in range(2, 9)
    }
    expected = roc_auc_score(labels["valid"][5:], [means[key] for key in valid[5:]])
    assert score == pytest.approx(expected)


def test_a_long_tailed_label_scores_by_its_ranks():
    draw = np.random.default_rng(1)
    label = np.exp(3 * draw.normal(size=4000))
    bins = np.searchsorted(np.quantile(label, np.linspace(0, 1, 51)[1:-1]), label)
    found = one_feature_scores(
        column(bins[:3000], bins[3000:]),
        "valid",
        (Regression(name="y"),),
        rows_of("y", label[:3000], label[3000:]),
    )
    assert found["y"] > 0.99
    ranks = label[3000:].argsort().argsort() / 1000
    assert found["y"] == pytest.approx(r2_score(ranks, (bins[3000:] + 0.5) / 50), abs=0.01)


def test_ids_that_come_once_stand_for_ids_that_never_came():
    """An id that is only there where something was bought gives that away, though every id is new."""
    bought = np.arange(200) % 2 == 0
    train = np.where(bought, np.arange(2, 202), 0)
    valid = np.where(bought, 1, 0)
    found = one_feature_scores(
        column(train, valid), "valid", (Binary(name="y"),), rows_of("y", bought.astype(float), bought.astype(float))
    )
    assert found["y"] == 1.0


def test_lists_score_by_the_mean_of_their_elements():
    draw = np.random.default_rng(2)
    label = draw.random(400) < 0.5
    rows = np.repeat(np.arange(400), 3)
    values = np.where(label[rows], draw.integers(2, 6, 1200), draw.integers(5, 9, 1200))
    both = {"train": rows, "valid": rows}
    found = one_feature_scores(
        column(values, values, kind="bag", rows=both), "valid", (Binary(name="y"),), rows_of("y", label, label)
    )
    assert found["y"] > 0.95


def test_too_few_rows_have_no_score():
    label = np.r_[np.ones(5), np.zeros(100)]
    keys = np.arange(105) % 7
    assert one_feature_scores(column(keys, keys), "valid", (Binary(name="y"),), rows_of("y", label, label)) == {}


def test_columns_become_bins_with_their_missing_apart():
    draw = np.random.default_rng(3)
    frame = pl.DataFrame({"x": draw.normal(size=2000), "flag": draw.random(2000) < 0.3}).with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise(pl.col("x")).alias("x")
    )
    encoder = Encoder.fit([make_feature(name="x", kind="numeric"), make_feature(name="flag", kind="boolean")], frame)
    encoded = encoder.encode(frame)
    rows = Batch(encoded.ids, encoded.numbers, {}, {}, encoded.lists)
    x, flag = keyed_columns(encoder, {"train": rows})
    keys = x.parts["train"].values
    assert np.array_equal(keys == 0, frame["x"].is_null().to_numpy())
    assert BINS - 5 <= len(np.unique(keys)) <= BINS + 1
    assert len(np.unique(flag.parts["train"].values)) == 2


def test_the_stability_index_is_the_textbooks_less_what_chance_gives():
    train, other = np.repeat([2, 3, 4], [50_000, 30_000, 20_000]), np.repeat([2, 3, 4], [25_000, 25_000, 50_000])
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.25, 0.25, 0.5])
    assert stability_index(column(train, other), "valid") == pytest.approx(((q - p) * np.log(q / p)).sum(), abs=2e-3)


@pytest.mark.parametrize("rows", [12, 60, 150, 5000])
def test_two_samples_of_one_distribution_do_not_drift(rows):
    draw = np.random.default_rng(4)
    pairs = [(draw.geometric(0.05, 900), draw.geometric(0.05, rows)) for _ in range(60)]
    indices = [stability_index(column(train, other), "valid") for train, other in pairs]
    assert max(indices) < 0.1
    assert np.mean(np.array(indices) > 0) < 0.05


def test_a_new_value_in_half_of_the_rows_drifts():
    assert stability_index(column(np.arange(600) % 3, np.r_[np.arange(60) % 3, np.full(60, 9)]), "valid") > 1


def test_unseen_ids_are_counted_and_numbers_have_none():
    assert unseen_share(column([2, 3], [1, 1, 2, 0]), "valid") == 0.5
    assert unseen_share(column([2, 3], [1, 1, 2, 0], kind="numeric"), "valid") is None


def test_the_interval_of_an_auc_holds_it_nineteen_times_of_twenty():
    draw = np.random.default_rng(5)
    label = np.r_[np.ones(25), np.zeros(400)]
    inside = 0
    for _ in range(300):
        auc = roc_auc_score(label, draw.normal(size=425) + label)
        low, high = auc_interval(auc, 25, 400)
        inside += low <= 0.7602 <= high  # Φ(1/√2)
    assert 0.91 < inside / 300 < 0.99
    assert auc_interval(1.0, 3, 100)[0] < 0.9


def test_the_rate_of_a_subnet_is_the_one_that_its_group_gets(trial):
    subnets = {"tower.buy": {"lr": 0.5}, "tower.*": {"lr": 0.1}, "*": {"lr": 0.2}, "balance": {"weight_decay": 0.1}}
    made = trial(**{"optimizer.subnets": subnets, "balance.objective": "uncertainty"})
    with made.started() as loop:
        groups = {group["name"]: group["base_lr"] for o in loop.state.optimizers for group in o.param_groups}
    assert {name: rate_of(made.config, name) for name in groups} == groups


def test_sampling_takes_every_row_of_a_small_store():
    from trunkline.insight.diagnosis.measures.keys import sampled

    rows = Batch(torch.zeros(9, 1, dtype=torch.int32), torch.zeros(9, 0), {}, {})
    assert sampled(Store.of(rows)) is rows
