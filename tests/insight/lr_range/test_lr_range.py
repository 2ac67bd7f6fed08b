"""Range tests: what a sweep's curve says, and what a sweep trains."""

import json
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from trunkline import UserError, fit, lr_range
from trunkline.config import Config
from trunkline.insight.lr_range.curve import read_sweep, smooth
from trunkline.insight.lr_range.held import held_rates, read_held
from trunkline.insight.lr_range.plot import to_svg

RATES = np.geomspace(1e-6, 1, 100)
LOG = np.log10(RATES)


def control(noise=0.0, *, seed=0, gain=0.5):
    """Falls from 1 to 1 - gain, under the noise of its batches."""
    fall = gain * (1 - np.exp(-np.arange(100) / 15))
    return 1 - fall + noise * np.random.default_rng(seed).normal(size=100)


def hump(height, *, until):
    """Behind the control at low rates, level with it from a rate on."""
    behind = height * np.minimum(np.arange(100) / 20, 1.0)
    return behind / (1 + np.exp(8 * (LOG - until)))


def harm(start, *, slope=2.0):
    return slope * np.maximum(LOG - start, 0.0)


def read(sweep, base, configured=0.002):
    return read_sweep(RATES, base + sweep, base, configured=configured)


def test_the_suggestion_lies_between_what_suffices_and_a_tenth_of_what_does_harm():
    found = read(hump(0.3, until=-3.5) + harm(-1.0), control())
    assert found.lowest == pytest.approx(10**-3.3, rel=0.5)
    assert found.too_high == pytest.approx(0.1, rel=0.5)
    assert found.suggestion == pytest.approx((found.lowest * found.too_high / 10) ** 0.5)
    assert found.flat is None


def test_the_batches_noise_changes_nothing():
    """It is ten times as large as the effect, and common to both."""
    shape = hump(0.1, until=-3.5) + harm(-1.0)
    calm, loud = read(shape, control()), read(shape, control(1.0))
    assert loud.lowest == calm.lowest
    assert loud.suggestion == pytest.approx(calm.suggestion, rel=0.2)


@pytest.mark.parametrize("seed", range(10))
def test_noise_of_its_own_moves_it_by_less_than_a_factor_of_three(seed):
    shape = hump(0.3, until=-3.5) + harm(-1.0)
    own = 0.04 * np.random.default_rng(seed).normal(size=100)
    assert 1 / 3 < read(shape + own, control()).suggestion / read(shape, control()).suggestion < 3


@pytest.mark.parametrize("seed", range(10))
def test_where_nothing_but_noise_is_seen_the_configured_rate_stays(seed):
    own = 0.04 * np.random.default_rng(seed).normal(size=100)
    found = read(own, control())
    assert found.flat is not None
    assert found.suggestion == 0.002
    assert found.lowest is None


def test_flat_up_to_what_does_harm():
    found = read(harm(-2.0), control(), configured=0.5)
    assert found.flat[0] == 1e-6
    assert found.flat[1] == pytest.approx(0.01, rel=0.5)
    assert found.suggestion == pytest.approx(found.too_high / 10)


def test_one_extreme_row_does_not_bend_the_curve():
    shape = hump(0.3, until=-3.5) + harm(-1.0)
    spiked = shape.copy()
    spiked[[40, 70]] += [5.0, -5.0]
    assert read(spiked, control()).suggestion == pytest.approx(read(shape, control()).suggestion, rel=0.6)


def test_a_sweep_that_ends_in_no_number_does_harm_there():
    base = control()
    found = read_sweep(RATES, (base + hump(0.3, until=-4.5))[:60], base, configured=0.002)
    assert found.too_high == RATES[60]
    assert found.suggestion < RATES[60] / 10
    assert read_sweep(RATES, base[:0], base, configured=0.1).suggestion == pytest.approx(1e-7)


def test_smoothing_keeps_lines_looks_to_both_sides_and_steps_over_gaps():
    line = 3.0 + 0.1 * np.arange(100)
    gaps = line.copy()
    gaps[[5, 50, 51]] = np.nan
    np.testing.assert_allclose(smooth(line)[20:-20], line[20:-20])
    np.testing.assert_allclose(smooth(gaps)[20:-20], line[20:-20], atol=0.1)  # a gap at a place weighs the others'


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(400, seed=0), "valid": make_rows(60, seed=1)}


def swept(settings, parts, **arguments):
    return lr_range(settings, **parts, **{"steps": 20} | arguments)


TWO = {"tasks": {"click": "binary", "topic": "multiclass"}, "network.dropout": 0.0}


def test_every_subnet_is_swept_and_judged_by_what_it_serves(settings, parts):
    found = swept(settings, parts, overrides={"network.sharing": {"kind": "mmoe", "experts": 3, "hidden": [6]}})
    tasks = tuple(settings["tasks"])
    assert found.sweeps.keys() == {"embedding", "shared", *(f"{kind}.{t}" for kind in ("gate", "tower") for t in tasks)}
    assert found.sweeps["shared"].serves == found.sweeps["embedding"].serves == tasks
    assert found.sweeps["gate.buy"].serves == found.sweeps["tower.buy"].serves == ("buy",)
    for name, sweep in found.sweeps.items():
        assert len(sweep.rates) == len(sweep.losses) == len(sweep.control) == (9 if name == "embedding" else 20)
        assert sweep.held == (name == "embedding")
        assert sweep.rates[0] == pytest.approx(1e-6)
        assert sweep.rates[-1] == pytest.approx(1)
        assert sweep.configured == 0.01
        assert 1e-7 < sweep.suggestion <= 0.1


def test_a_sweep_at_the_configured_rate_is_the_control(settings, parts):
    """Same network, same batches, same draws: the others are held, and so is what is common."""
    found = swept(settings, parts, low=0.01, high=0.01 * (1 + 1e-12), overrides={"network.dropout": 0.4})
    for sweep in found.sweeps.values():
        np.testing.assert_allclose(sweep.losses, sweep.control, rtol=1e-4)
        assert sweep.reading.flat is not None


def test_only_the_subnet_itself_moves_by_the_swept_rate(settings, parts):
    """At a rate of next to nothing a tower's loss falls behind, and the other towers' do not."""
    found = swept(settings, parts, low=1e-12, high=1e-11, steps=40, overrides={**TWO, "optimizer.lr": 0.03})
    behind = {name: sweep.losses[-1] - sweep.control[-1] for name, sweep in found.sweeps.items()}
    assert behind["tower.topic"] > 0.1
    assert behind["tower.click"] > 0.02


def test_a_rate_that_is_far_too_high_is_brought_down_and_a_low_one_up(settings, parts):
    rates = {}
    for configured in (1e-6, 1.0):
        changes = {**TWO, 'optimizer.subnets."tower.topic".lr': configured}
        rates[configured] = swept(settings, parts, steps=60, overrides=changes).sweeps["tower.topic"].suggestion
    assert rates[1e-6] > 1e-3
    assert rates[1.0] < 0.2


def test_what_is_suggested_learns_as_well_as_any_rate(settings, parts):
    """A hundredth and a hundred times of the suggestion both come out worse."""
    rate = swept(settings, parts, steps=60, overrides=TWO).sweeps["tower.topic"].suggestion
    losses = {}
    for factor in (0.01, 1, 100):
        changes = {**TWO, "training.epochs": 4, 'optimizer.subnets."tower.topic".lr': rate * factor}
        losses[factor] = fit(settings, **parts, overrides=changes).metrics["valid"]["topic"]["log_loss"]
    assert losses[1] < min(losses[0.01], losses[100])


def test_the_block_goes_into_the_config_and_keeps_what_is_there(settings, parts):
    own = {"tower.*": {"weight_decay": 0.1}, "tower.buy": {"lr": 0.02, "schedule": {"kind": "warmup_cosine"}}}
    changes = {"optimizer.subnets": own, "balance.objective": "uncertainty", "optimizer.subnets.embedding.lr": 0}
    found = swept(settings, parts, overrides=changes)
    block = yaml.safe_load(found.to_yaml())["optimizer"]["subnets"]
    assert next(iter(block)) == "tower.*"
    assert block["tower.*"] == {"weight_decay": 0.1}
    assert block["tower.buy"]["schedule"]["kind"] == "warmup_cosine"
    assert block["tower.buy"]["lr"] == found.sweeps["tower.buy"].suggestion
    assert block["embedding"] == {"lr": 0.0}
    assert found.skipped.keys() == {"embedding", "balance"}
    Config.make(settings, overrides={"optimizer.subnets": block})


def test_a_loss_that_is_no_number_ends_a_sweep_or_is_an_error(settings, parts):
    changes = {"optimizer": {"name": "sgd", "lr": 0.001}}
    found = swept(settings, parts, steps=30, high=1e30, overrides=changes)
    assert found.sweeps["shared"].losses[-1] is None
    assert found.sweeps["shared"].reading.too_high < 1e12
    with pytest.raises(UserError, match=r"lower optimizer\.lr"):
        swept(settings, parts, overrides={"optimizer": {"name": "sgd", "lr": 1e30}})


def test_a_task_without_rows_in_a_batch_is_no_trouble(settings, parts):
    found = swept(settings, parts, overrides={"training.batch_size": 2})
    json.loads(found.to_json())
    to_svg(found)


def test_curves_come_as_json_and_as_a_picture(settings, parts):
    called = []
    found = swept(settings, parts, on_sweep=called.append)
    raw = json.loads(found.to_json())
    assert called[1:] == list(found.sweeps) == list(raw["subnets"])
    assert raw["subnets"]["shared"]["suggestion"] == found.sweeps["shared"].suggestion
    picture = to_svg(found)
    tree = ElementTree.fromstring(picture)
    assert len(tree.findall(".//{http://www.w3.org/2000/svg}polyline")) == 2 * len(found.sweeps)
    assert "prefers-color-scheme: dark" in picture
    assert all(name in picture for name in found.sweeps)


def test_more_steps_than_rows_are_said(settings, parts):
    assert swept(settings, parts, overrides={"training.batch_size": 10}).note is None
    assert "2.5 times" in swept(settings, parts).note


def test_it_is_the_same_each_time_and_leaves_no_trace(settings, parts):
    before = torch.get_rng_state()
    assert swept(settings, parts).to_json() == swept(settings, parts).to_json()
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("arguments", [{"steps": 19}, {"low": 0.0}, {"low": 1.0, "high": 0.1}])
def test_senseless_ranges_are_refused(settings, parts, arguments):
    with pytest.raises(UserError, match="rates that rise"):
        swept(settings, parts, **arguments)


def ids(rows, values, *, seed=0):
    """A table in which an id decides, and comes back only after dozens of batches."""
    draw = np.random.default_rng(seed)
    user, worth = draw.integers(0, values, rows), draw.normal(size=values)
    click = draw.random(rows) < 1 / (1 + np.exp(-3 * worth[user]))
    return pl.DataFrame({"user": user.astype(str), "click": click.astype(int), "x": draw.normal(size=rows)})


@pytest.mark.parametrize("sparse_above", [0, None])
def test_the_curve_of_an_embedding_answers_to_its_rate(sparse_above):
    """A batch holds one id in twelve: a sweep in time would see what rates two decades lower have done."""
    config = {
        "data": {"store": "none"},
        "features": {"user": "categorical", "x": "numeric"},
        "tasks": {"click": "binary"},
        "network": {
            "sharing": {"hidden": [8]},
            "towers": {"hidden": [4]},
            "embedding": {"sparse_above": sparse_above},
        },
        "training": {"batch_size": 32, "device": "cpu"},
        "optimizer": {"subnets": {"embedding": {"lr": 1e-5}}},
    }
    found = lr_range(config, train=ids(3_000, 300), steps=60, high=1e4)
    sweep = found.sweeps["embedding"]
    losses = [np.inf if loss is None else loss for loss in sweep.losses]
    gains = np.array(sweep.control) - losses
    assert gains.max() > 0.1  # a rate that learns the ids is seen to
    assert sweep.reading.flat is None
    assert 1e-3 < sweep.suggestion < 1e2
    assert sweep.reading.too_high is not None  # and one that makes them explode, too
    assert gains[-1] < -1
    assert found.back > 0.9


def test_ids_that_do_not_come_back_are_said():
    config = {
        "data": {"store": "none"},
        "features": {"user": "categorical", "x": "numeric"},
        "tasks": {"click": "binary"},
        "network": {"sharing": {"hidden": [4]}, "towers": {"hidden": [2]}},
        "training": {"batch_size": 16, "device": "cpu"},
    }
    found = lr_range(config, train=ids(2_000, 20_000), steps=20)
    assert found.back < 0.1
    assert "in an earlier batch" in found.note


@pytest.mark.parametrize("places", [(2, 6), (4, 7)])
def test_held_rates_are_read_from_where_one_learns_to_where_one_does_harm(places):
    lowest, harm = places
    rates, base = held_rates(1e-6, 1.0), control()
    assert len(rates) == 9
    shape = [0.3 if i < lowest else 1.0 if i >= harm else 0.0 for i in range(9)]
    found = read_held(rates, [base + one for one in shape], base, configured=1e-6)
    assert found.lowest == rates[lowest]
    assert found.too_high == rates[harm]
    assert found.suggestion == pytest.approx(min((rates[lowest] * rates[harm] / 10) ** 0.5, rates[harm] / 10))
    flat = read_held(rates, [base] * 9, base, configured=0.002)
    assert flat.flat == (rates[0], rates[-1])
    assert flat.suggestion == 0.002
    broken = read_held(rates, [base] * 5 + [base[:7]] * 4, base, configured=0.5)
    assert broken.too_high == rates[5]
    assert broken.suggestion == pytest.approx(rates[5] / 10)
    assert read_held(rates, [base[:0]] * 9, base, configured=0.1).suggestion == pytest.approx(1e-7)
