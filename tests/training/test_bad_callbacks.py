"""Callbacks that stop too early, or spoil the network: said in words, and nothing spoilt is kept."""

import math

import pytest
import torch

from trunkline import Model, UserError, fit
from trunkline.callbacks import Callback


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(120), "valid": make_rows(60, seed=1)}


class Stops(Callback):
    def on_start(self, loop):
        loop.stop()


class Spoils(Callback):
    """Writes what is no number into a parameter or a buffer, in one hook."""

    def __init__(self, hook, buffers):
        def spoil(loop, *_):
            inside = loop.network.named_buffers() if buffers else loop.network.named_parameters()
            with torch.no_grad():
                next(t for name, t in inside if t.is_floating_point() and "fork." not in name).fill_(math.nan)

        setattr(self, hook, spoil)


def test_a_stop_before_the_first_epoch_is_told_and_can_be_gone_on_from(settings, parts, tmp_path):
    with pytest.raises(UserError, match=r"stopped before its first epoch, by loop.stop\(\) in on_start"):
        fit(settings, **parts, out=tmp_path / "run", callbacks=[Stops()])
    assert fit(settings, **parts, out=tmp_path / "run", resume=True).metrics["epochs"] == 2
    assert fit(settings, **parts, out=tmp_path / "run", resume=True, callbacks=[Stops()]).metrics["epochs"] == 2


@pytest.mark.parametrize("buffers", [False, True])
@pytest.mark.parametrize("hook", ["on_epoch", "on_line"])
def test_what_a_callback_spoils_is_not_kept(settings, parts, tmp_path, hook, buffers):
    overrides = {"network.norm": "batch", "training.log_every": 1000, "training.batch_size": 200}
    straight = fit(settings, **parts, out=tmp_path / "straight", overrides=overrides)
    with pytest.raises(UserError) as refused:
        fit(settings, **parts, out=tmp_path / "run", overrides=overrides, callbacks=[Spoils(hook, buffers)])
    assert "Spoils" in str(refused.value)
    resumed = fit(settings, **parts, out=tmp_path / "run", overrides=overrides, resume=True)
    one, other = resumed.network.state_dict(), straight.network.state_dict()
    assert all(one[name].equal(other[name]) for name in one)
    assert Model.load(tmp_path / "run")(parts["valid"]).null_count().row(0)[0] == 0


def test_what_is_spoilt_after_the_last_step_of_an_epoch_names_the_callbacks(settings, parts, tmp_path):
    overrides = {"training.batch_size": 200}
    with pytest.raises(UserError, match=r"not numbers after step 0; lower optimizer.lr, or mend .*Spoils"):
        fit(settings, **parts, overrides=overrides, callbacks=[Spoils("on_step", False)])
