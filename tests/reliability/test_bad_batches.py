"""A loss or a gradient that is no number: nothing is learnt from it, and the run says where it was."""

import math
import re

import pytest
import torch

from trunkline import UserError, fit
from trunkline.tasks import Binary

TASKS = ("click", "buy")


class Unreal(torch.autograd.Function):
    """The identity, with a gradient that is no number."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.nan


@pytest.fixture
def settings():
    return {
        "data": {"store": "none"},
        "features": {"user": "categorical", "price": "numeric"},
        "tasks": dict.fromkeys(TASKS, "binary"),
        "network": {"sharing": {"hidden": [8]}, "norm": "batch", "dropout": 0.1},
        "balance": {"objective": "sum"},
        "training": {"epochs": 2, "batch_size": 20, "patience": None, "device": "cpu", "log_every": 2},
    }


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(100, seed=0), "valid": make_rows(40, seed=1)}


@pytest.fixture
def spoil(monkeypatch):
    """Make some rows' loss of buy, or their gradient, no number in some of the steps."""

    loss = Binary.loss

    def spoil(steps, *, rows=(), gradient=False):
        seen, weights = [], []

        def watch(loop):
            step = loop.step

            def counted(batch):
                seen.append(len(seen))
                before = [p.detach().clone() for p in loop.network.parameters()]
                try:
                    return step(batch)
                finally:
                    after = list(loop.network.parameters())
                    buffers = [b.clone() for b in loop.network.buffers()]
                    weights.append((all(a.equal(b) for a, b in zip(before, after, strict=True)), buffers))

            object.__setattr__(loop, "step", counted)

        def spoiled(self, raw, label):
            made = loss(self, raw, label)
            if self.name != "buy" or not seen or seen[-1] not in steps:
                return made
            if gradient:
                return Unreal.apply(made)
            return torch.stack([one * math.nan if i in rows else one for i, one in enumerate(made)])

        monkeypatch.setattr(Binary, "loss", spoiled)
        return watch, weights

    return spoil


@pytest.mark.parametrize("gradients", ["none", "pcgrad"])
def test_a_loss_that_is_no_number_reaches_no_weight_of_any_task(settings, parts, spoil, gradients):
    settings["balance"]["gradients"] = gradients
    watch, weights = spoil({3}, rows=[2, 5])
    told = r"the loss of buy was not a number at step 3 \(epoch 1, training rows (\d+), (\d+)\)"
    with pytest.raises(UserError, match=told) as caught:
        fit(settings, **parts, on_start=watch)
    assert [same for same, _ in weights] == [False, False, False, True]
    numbers = list(map(int, re.search(told, str(caught.value)).groups()))
    assert len(set(numbers)) == 2
    assert all(1 <= number <= 100 for number in numbers)
    assert "training.bad_batches" in str(caught.value)


def test_the_rows_that_are_named_are_those(settings, parts, monkeypatch):
    """By a label that the loss cannot stand, in rows that the test chooses."""
    guilty = [17, 58]
    loss = Binary.loss

    def spoiled(self, raw, label):
        made = loss(self, raw, label)
        return torch.where(label == 7, torch.nan, made)

    monkeypatch.setattr(Binary, "loss", spoiled)

    def watch(loop):
        for row in guilty:
            loop.train.store.rows.labels["buy"][row] = 7

    found = set()
    for seed in range(3):
        with pytest.raises(UserError, match="training rows") as caught:
            fit(settings, **parts, on_start=watch, overrides={"training.seed": seed})
        found |= set(map(int, re.search(r"training rows ([\d, ]+)\)", str(caught.value))[1].split(", ")))
    assert found <= {row + 1 for row in guilty}
    assert found


@pytest.mark.parametrize("gradient", [False, True])
def test_bad_batches_are_left_out_and_counted(settings, parts, spoil, gradient):
    watch, weights = spoil({1, 6}, rows=range(20), gradient=gradient)
    model = fit(settings, **parts, on_start=watch, overrides={"training.bad_batches": 2})
    assert [i for i, (same, _) in enumerate(weights) if same] == [1, 6]
    assert model.metrics["bad_batches"] == 2
    counts = [line["bad_batches"] for line in model.history]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 2)
    assert all(parameter.isfinite().all() for parameter in model.network.parameters())
    assert all(buffer.isfinite().all() for buffer in model.network.buffers())


def test_one_bad_batch_more_than_may_be_stops_the_training(settings, parts, spoil):
    watch, weights = spoil({1, 3, 6}, rows=[0])
    with pytest.raises(UserError, match="the loss of buy was not a number at step 6"):
        fit(settings, **parts, on_start=watch, overrides={"training.bad_batches": 2})
    assert [same for same, _ in weights] == [False, True, False, True, False, False, True]


def test_a_run_that_stopped_goes_on_when_bad_batches_may_be_left_out(settings, parts, spoil, tmp_path):
    settings["training"]["checkpoint_minutes"] = 0
    watch, _ = spoil({3}, rows=[0])
    with pytest.raises(UserError, match="not a number at step 3"):
        fit(settings, **parts, on_start=watch, out=tmp_path / "run")
    watch, weights = spoil({0}, rows=[0])
    again = {"training.bad_batches": 1}
    model = fit(settings, **parts, on_start=watch, out=tmp_path / "run", resume=True, overrides=again)
    assert model.metrics["bad_batches"] == 1
    assert len(weights) == 7  # ten steps, three of them before


def test_left_out_batches_leave_the_statistics_of_batch_normalisation_alone(settings, parts, monkeypatch):
    """A batch whose features overflow poisons running means in the forward pass already."""

    def watch(loop):
        step, seen = loop.step, []

        def spoiled(batch):
            seen.append(1)
            if len(seen) == 3:
                batch.numbers.fill_(math.inf)
            return step(batch)

        object.__setattr__(loop, "step", spoiled)

    model = fit(settings, **parts, on_start=watch, overrides={"training.bad_batches": 1})
    assert model.metrics["bad_batches"] == 1
    assert all(buffer.isfinite().all() for buffer in model.network.buffers())
    assert model.metrics["valid"]["click"]["log_loss"] < 1
