"""What the loop tells balancers and the history after a step, and that telling changes nothing else."""

import copy
import math
import signal
from itertools import pairwise

import pytest
import torch
from torch import nn

from trunkline import fit
from trunkline.balance.fork import Fork
from trunkline.balance.methods import GRADIENTS, OBJECTIVES, make_method
from trunkline.network import Network
from trunkline.random_state import random_state, set_random_state
from trunkline.training.rerun import Rerun

TASKS = ["click", "dwell", "buy", "topic"]
HARD = {"network.dropout": 0.4, "network.norm": "batch", "training.log_every": 2, "training.epochs": 1}
STILL = {**HARD, "network.dropout": 0.0}


@pytest.fixture
def run(make_rows, settings):
    """A fit of the small feed, each of whose steps `spy(loop, batch, step)` surrounds; its model."""

    def run(changes, spy=None, **arguments):
        def start(loop):
            step = loop.step
            if spy is not None:
                object.__setattr__(loop, "step", lambda batch: spy(loop, batch, step))

        parts = {"train": make_rows(seed=0), "valid": make_rows(60, seed=1)}
        return fit(settings, **parts, overrides=changes, on_start=start, **arguments)

    return run


def told_by(loop):
    """What the objective is told, as it comes in."""
    told, observe = {}, loop.objective.observe

    def listen(active, **values):
        told.update(values, active=active)
        observe(active, **values)

    loop.objective.observe = listen
    return told


def losses_again(loop, batch, network, before):
    """Losses of a network under the draws that follow `before`, and the generators' state afterwards."""
    now = random_state()
    set_random_state(before)
    with torch.no_grad():
        losses = network.losses(network(batch.ids, batch.numbers), batch.labels, batch.weights)[0]
    after = random_state()
    set_random_state(now)
    return losses, after


@pytest.mark.parametrize("gradients", ["none", "pcgrad"])
def test_famos_second_pass_leaves_no_trace_and_sees_the_same_draws(run, gradients):
    seen = []

    def spy(loop, batch, step):
        told = told_by(loop)
        before, network = random_state(), copy.deepcopy(loop.network)
        result = step(batch)
        _, after_one_pass = losses_again(loop, batch, network, before)  # moves the copy's running statistics once
        assert random_state()["cpu"].equal(after_one_pass["cpu"])
        statistics = dict(network.sharing.named_buffers()) | dict(network.towers.named_buffers())
        found = dict(loop.network.sharing.named_buffers()) | dict(loop.network.towers.named_buffers())
        assert any(name.endswith("running_mean") for name in statistics)
        assert all(torch.equal(found[name], value) for name, value in statistics.items())
        expected, _ = losses_again(loop, batch, copy.deepcopy(loop.network), before)
        assert torch.equal(told["losses"], expected)
        other, _ = losses_again(loop, batch, copy.deepcopy(loop.network), random_state())
        seen.append((not torch.equal(other, expected), not torch.equal(told["losses"], result[0])))
        assert not told["losses"].requires_grad
        assert told["norms"] is None
        del loop.objective.observe
        return result

    model = run({**HARD, "balance.objective": "famo", "balance.gradients": gradients}, spy)
    assert seen == [(True, True)] * 5
    assert model.history


def test_famo_learns_in_the_loop(run):
    logits = []

    def spy(loop, batch, step):
        result = step(batch)
        logits.append(loop.objective.logits.clone())
        assert loop.objective.adam.updates.tolist() == [len(logits)] * 4
        return result

    run({**HARD, "balance.objective": "famo"}, spy)
    assert all(not torch.equal(one, other) for one, other in pairwise(logits))


def test_a_rerun_restores_even_after_a_failure():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    x, before = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), random_state()
    again, first = Rerun(network), network(x)
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    torch.rand(5)  # the loop may have drawn more since
    now = random_state()
    assert torch.equal(again(lambda: network(x)), first)
    assert torch.equal(random_state()["cpu"], now["cpu"])

    def fails():
        network(x)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again(fails)
    assert torch.equal(random_state()["cpu"], now["cpu"])
    assert not torch.equal(now["cpu"], before["cpu"])
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())
    set_random_state(before)


def gramian_by_autograd(loop, batch):
    """`[T, T]` in float64: products of the objective's gradients with respect to each task's own copy of the cut."""
    network, objective = copy.deepcopy(loop.network).double(), copy.deepcopy(loop.objective).double()
    network.fork = Fork(4)
    with torch.no_grad():
        (cut,) = network.sharing.shared(network.embedding(batch.ids, batch.numbers.double()), batch.ids)
    leaves = [cut.clone().requires_grad_() for _ in TASKS]
    raws = network.towers(network.sharing.per_task([(leaf,) for leaf in leaves]))
    labels = {name: label.double() for name, label in batch.labels.items()}
    weights = {name: weight.double() for name, weight in batch.weights.items()}
    losses, active = network.losses(raws, labels, weights)
    rows = torch.stack([g.flatten() for g in torch.autograd.grad(objective(losses, active), leaves)])
    return rows @ rows.T


def near(found, expected, *, rel=1e-4):
    torch.testing.assert_close(
        torch.as_tensor(found, dtype=torch.float64), expected, rtol=rel, atol=rel * float(expected.abs().max())
    )


@pytest.mark.parametrize("gradients", ["none", "pcgrad", "graddrop"])
def test_gradnorm_is_told_the_norms_at_the_fork(run, gradients):
    count = []

    def spy(loop, batch, step):
        told, expected = told_by(loop), gramian_by_autograd(loop, batch).diagonal().sqrt()
        result = step(batch)
        assert told["losses"] is None
        near(told["norms"], expected)
        assert expected.unique().numel() == 4
        count.append(loop.objective.weights.clone())
        del loop.objective.observe
        return result

    run({**STILL, "balance.objective": "gradnorm", "balance.gradients": gradients}, spy)
    assert len(count) == 5
    assert not torch.equal(count[0], count[-1])


@pytest.mark.parametrize("objective", ["sum", "uncertainty", "gradnorm", "dwa"])
@pytest.mark.parametrize(("gradients", "every"), [("none", 1), ("upgrad", 1), ("upgrad", 3)])
def test_lines_hold_the_geometry_of_the_gradients_if_asked(run, objective, gradients, every):
    expected = {}

    def spy(loop, batch, step):
        expected[loop.state.progress.step + 1] = gramian_by_autograd(loop, batch)
        return step(batch)

    changes = {
        **STILL,
        "balance.objective": objective,
        "balance.gradients": gradients,
        "balance.update_every": every,
        "training.log_gradients": True,
    }
    lines = [line for line in run(changes, spy).history if "losses" in line]
    assert [line["step"] for line in lines] == [2, 4, 5]
    for line in lines:
        gramian = expected[line["step"]]
        norms = gramian.diagonal().sqrt()
        assert list(line["gradient_norms"]) == TASKS
        near(list(line["gradient_norms"].values()), norms)
        near(line["cosines"], gramian / norms[:, None] / norms[None, :], rel=1e-3)
        assert min(min(row) for row in line["cosines"]) < 0.99


def test_lines_hold_none_of_it_otherwise(run):
    for gradients in ("none", "pcgrad"):
        lines = run({**STILL, "balance.gradients": gradients}).history
        assert lines
        assert not any({"gradient_norms", "cosines"} & line.keys() for line in lines)


def test_logging_the_geometry_changes_no_bit_of_the_training(run):
    for gradients in ("none", "pcgrad"):
        one, other = (
            run({**HARD, "balance.gradients": gradients, "training.log_gradients": logged}).network.state_dict()
            for logged in (False, True)
        )
        assert all(torch.equal(value, other[name]) for name, value in one.items() if name != "fork.backwards")


def test_norms_are_those_of_the_unscaled_losses(run, monkeypatch):
    """Under half precision the losses are scaled by 65536 for the backward."""
    plain = run({**STILL, "training.log_gradients": True}).history[0]["gradient_norms"]
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, enabled: scaler(device, init_scale=1024.0))
    scaled = run({**STILL, "training.log_gradients": True}).history[0]["gradient_norms"]
    assert scaled == pytest.approx(plain, rel=1e-4)
    told = []

    def spy(loop, batch, step):
        heard = told_by(loop)
        expected = gramian_by_autograd(loop, batch).diagonal().sqrt()
        result = step(batch)
        near(heard["norms"], expected)
        told.append(expected)
        del loop.objective.observe
        return result

    run({**STILL, "balance.objective": "gradnorm"}, spy)
    assert len(told) == 5


def test_a_gradient_of_zero_has_no_direction():
    gramian = torch.tensor([[4.0, 0.0, -6.0], [0.0, 0.0, 0.0], [-6.0, 0.0, 9.0]])
    fork = Fork(3)
    fork.gramian = gramian
    assert fork.norms().tolist() == [2.0, 0.0, 3.0]
    cosines = [[None if math.isnan(value) else value for value in row] for row in fork.cosines().tolist()]
    assert cosines == [[1.0, None, -1.0], [None, None, None], [-1.0, None, 1.0]]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_asking_for_weights_changes_nothing(name):
    values = {"weights": [1.0, 2.0, 3.0]} if name == "fixed" else {}
    objective = make_method(OBJECTIVES, name, values, tasks=["a", "b", "c"], exponents=[1.0, 0.5, 1.0], parameters=0)
    optimizer = torch.optim.SGD([*objective.parameters(), nn.Parameter(torch.zeros(1))], lr=0.1)
    generator = torch.Generator().manual_seed(0)
    active = torch.tensor([True, True, False])
    for step in range(4):
        losses = torch.rand(3, generator=generator) + 0.1
        before, draws = copy.deepcopy(objective.state_dict()), torch.get_rng_state()
        for training in (False, True):
            objective.train(training)
            value, weights = objective.evaluate(losses, active)
            again = objective.effective_weights(losses, active)
            assert all(module.training == training for module in objective.modules())
            assert torch.equal(weights, again)
            assert not value.requires_grad
        after = objective.state_dict()
        assert all(torch.equal(after[key], before[key]) for key in before)
        assert torch.equal(torch.get_rng_state(), draws)
        leaf = losses.clone().requires_grad_()
        merged = objective(leaf, active if step % 2 else None)
        merged.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.observe(active, losses=losses * 0.9, norms=losses * 2)


class Stop:
    """Presses Ctrl-C at the end of a step."""

    def __init__(self, at):
        self.at, self.steps = at, 0

    def __call__(self, loop, batch, step):
        self.steps += 1
        if self.steps == self.at:
            signal.raise_signal(signal.SIGINT)
        return step(batch)


REMEMBERING = {
    "famo": {"balance.objective": "famo"},
    "famo and pcgrad": {"balance.objective": "famo", "balance.gradients": "pcgrad"},
    "gradnorm": {"balance.objective": "gradnorm"},
    "gradnorm, every 3": {"balance.objective": "gradnorm", "balance.gradients": "upgrad", "balance.update_every": 3},
    "dwa": {"balance.objective": {"kind": "dwa", "window": 2}},
    "rlw": {"balance.objective": "rlw"},
    "graddrop": {"balance.gradients": "graddrop"},
    "moco": {"balance.gradients": "moco", "balance.at": "parameters"},
    "db_mtl": {"balance.gradients": "db_mtl", "balance.at": "parameters"},
    "excess_mtl": {"balance.gradients": "excess_mtl", "balance.at": "parameters"},
    "gradvac": {"balance.gradients": "gradvac"},
    "pcgrad at the parameters": {"balance.gradients": "pcgrad", "balance.at": "parameters", "balance.update_every": 3},
}


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_run_cut_in_the_middle_ends_as_one_that_was_not(run, tmp_path, name):
    changes = {**HARD, **REMEMBERING[name], "training.epochs": 2, "training.log_gradients": True}
    wanted = changes.get("balance.gradients", "none")
    if wanted not in GRADIENTS and wanted != "none":
        pytest.skip(f"no method {wanted} yet")
    straight = run(changes)
    with pytest.raises(KeyboardInterrupt):
        run(changes, Stop(4), out=tmp_path / "cut")
    resumed = run(changes, out=tmp_path / "cut", resume=True)
    one, other = straight.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    lines = [
        [{k: v for k, v in line.items() if k != "rows_per_second"} for line in m.history] for m in (straight, resumed)
    ]
    assert lines[0] == lines[1]
    assert isinstance(resumed.network, Network)
    assert max(line["step"] for line in lines[0]) == 10
