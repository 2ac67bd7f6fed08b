"""Runs that have ended and are to go on: they do, to the bit, or say what keeps them."""

import pytest
import yaml

from trunkline import Model, UserError, fit

STILL = {"training.epochs": 2, "optimizer.schedule": "constant"}


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(120), "valid": make_rows(60, seed=1)}


def same(one, other):
    left, right = one.network.state_dict(), other.network.state_dict()
    return all(left[name].equal(right[name]) for name in left)


def timeless(lines):
    return [{key: value for key, value in line.items() if key != "rows_per_second"} for line in lines]


@pytest.mark.parametrize("calibrate", ["none", "temperature"])
def test_a_run_that_trains_on_is_the_one_that_had_all_its_epochs(settings, parts, tmp_path, calibrate):
    still = {**STILL, "tasks.click.calibrate": calibrate, "training.log_every": 2}
    fit(settings, **parts, out=tmp_path / "run", overrides=still)
    longer = {**still, "training.epochs": 5}
    straight = fit(settings, **parts, out=tmp_path / "straight", overrides=longer)
    resumed = fit(settings, **parts, out=tmp_path / "run", overrides=longer, resume=True)
    assert same(resumed, straight)
    assert timeless(resumed.history) == timeless(straight.history)
    assert resumed.metrics["valid"] == straight.metrics["valid"]
    whole = (tmp_path / "straight" / "config.yaml").read_text(encoding="utf-8")
    assert (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8") == whole
    assert repr(Model.load(tmp_path / "run")).endswith("of 5]")


@pytest.mark.parametrize(
    "changes",
    [{"optimizer.schedule": "warmup_cosine"}, {"optimizer.subnets": {"tower.*": {"schedule": "warmup_cosine"}}}],
)
@pytest.mark.parametrize("epochs", [1, 4])
def test_rates_spread_over_all_epochs_allow_no_others(settings, parts, tmp_path, changes, epochs):
    overrides = {"training.epochs": 2, **changes}
    fit(settings, **parts, out=tmp_path / "run", overrides=overrides)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.*") if path.is_file()}
    with pytest.raises(UserError, match=rf"begun with training.epochs 2.*schedule spreads.*train anew.*: {epochs} "):
        fit(settings, **parts, out=tmp_path / "run", overrides={**overrides, "training.epochs": epochs}, resume=True)
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_with_nothing_left_says_which_key_has_it_train_on(settings, parts, tmp_path, caplog):
    def told(**changes):
        caplog.clear()
        overrides = {"training.batch_size": 12, **STILL, **changes}
        model = fit(settings, **parts, out=tmp_path / "run", overrides=overrides, resume=True)
        return model.metrics["epochs"], [r.getMessage() for r in caplog.records if "nothing left" in r.getMessage()]

    fit(settings, **parts, out=tmp_path / "run", overrides={"training.batch_size": 12, **STILL})
    epochs, (said,) = told()
    assert epochs == 2
    assert "all 2 epochs are done; it trains on with training.epochs above 2, such as --set training.epochs=4" in said
    assert told(**{"training.epochs": 3}) == (3, [])
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert kept["training"]["epochs"] == 3


def test_a_run_out_of_patience_says_so(settings, parts, tmp_path, caplog):
    frozen = {"optimizer.lr": 0.0, "balance.objective": "sum", "training.epochs": 5, "training.patience": 1}
    fit(settings, **parts, out=tmp_path / "run", overrides=frozen)
    caplog.clear()
    more = {**frozen, "training.epochs": 9}
    assert fit(settings, **parts, out=tmp_path / "run", overrides=more, resume=True).metrics["epochs"] == 2
    (said,) = [r.getMessage() for r in caplog.records if "nothing left" in r.getMessage()]
    assert "stopped after epoch 2, the best is 1: training.patience is 1" in said
    assert "--set training.patience=2" in said
    more["training.patience"] = 2
    assert fit(settings, **parts, out=tmp_path / "run", overrides=more, resume=True).metrics["epochs"] == 3
