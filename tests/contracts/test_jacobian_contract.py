"""What every Jacobian balancer must satisfy. A new one joins with one line in `BALANCERS`."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor

from trunkline.balance import DBMTL, ExcessMTL, FromTorchJD, GradDrop, JacobianBalancer, MoCo
from trunkline.balance.methods import GRADIENTS
from trunkline.errors import UserError

WIDTH = 9


@dataclass(frozen=True)
class Entry:
    """A balancer and what is known of it.

    `build`: from the number of tasks and of coordinates.
    `settled`: steps with one gradient after which a single task's update is that gradient.
    `neutral`: whether a row of zeros leaves the first update as it is.
    `least`: fewest tasks it takes.
    `scale`: whether the update follows the gradients' common scale.
    """

    build: Callable[[int, int], JacobianBalancer]
    settled: int = 1
    neutral: bool = False
    least: int = 1
    scale: bool = True


def torchjd(name: str, **arguments: object) -> Callable[[int, int], JacobianBalancer]:
    return lambda tasks, width: FromTorchJD(aggregator=name, arguments=arguments)


BALANCERS: dict[str, Entry] = {
    "graddrop": Entry(lambda tasks, width: GradDrop(), neutral=True),
    "graddrop, leak 0.3": Entry(lambda tasks, width: GradDrop(leak=0.3, seed=4), neutral=True),
    "torchjd Sum": Entry(torchjd("Sum"), neutral=True),
    "torchjd Mean": Entry(torchjd("Mean")),
    "torchjd AlignedMTL": Entry(torchjd("AlignedMTL")),
    "torchjd TrimmedMean": Entry(torchjd("TrimmedMean", trim_number=1), least=3),
    "torchjd ConFIG": Entry(torchjd("ConFIG")),
    "moco": Entry(MoCo, settled=400),
    "moco, rho 0.1, constant rates": Entry(partial(MoCo, rho=0.1, sigma=0.0), settled=40),
    "moco, as published": Entry(partial(MoCo, rescale=False), settled=400),
    "db_mtl": Entry(DBMTL, neutral=True),
    "db_mtl, no past": Entry(partial(DBMTL, beta=0.0), neutral=True),
    "excess_mtl": Entry(ExcessMTL, neutral=True, scale=False),
    "excess_mtl, step 1": Entry(partial(ExcessMTL, step_size=1.0), neutral=True, scale=False),
}
STATEFUL = {name: entry for name, entry in BALANCERS.items() if not entry.build(3, WIDTH).at_fork}

each_entry = pytest.mark.parametrize("entry", BALANCERS.values(), ids=BALANCERS.keys())
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def _random(tasks: int, seed: int, width: int = WIDTH) -> Tensor:
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(entry: Entry, tasks: int, width: int = WIDTH) -> JacobianBalancer:
    return entry.build(tasks, width).double()


def per_task(balancer: JacobianBalancer, tasks: int) -> dict[str, Tensor]:
    """The state that belongs to single tasks; `weights` tells of the last combination alone."""
    state = balancer.state_dict()
    return {key: value for key, value in state.items() if value.shape[:1] == (tasks,) and key != "weights"}


JACOBIANS = {
    "random": _random(4, 0),
    "more tasks than dimensions": _random(17, 1, 3),
    "duplicates": _random(4, 2)[[0, 1, 1, 1, 2]],
    "opposed": _random(1, 3) * torch.tensor([[1.0], [-1.0], [1.0]], dtype=torch.float64),
    "a row of zeros": _random(4, 4) * torch.tensor([[1.0], [0.0], [1.0], [1.0]], dtype=torch.float64),
    "all zeros": torch.zeros(3, WIDTH, dtype=torch.float64),
    "one row": _random(1, 5),
    "one coordinate": _random(5, 6, 1),
    "rows from 1e-12 to 1e12": _random(5, 7) * torch.logspace(-12, 12, 5, dtype=torch.float64)[:, None],
    "all 1e-12": _random(3, 8) * 1e-12,
    "all 1e12": _random(3, 9) * 1e12,
}


def test_every_jacobian_method_a_config_can_name_is_held_to_the_contract():
    named = {kind for kind in GRADIENTS.values() if issubclass(kind, JacobianBalancer)}
    assert named == {type(entry.build(3, WIDTH)) for entry in BALANCERS.values()}


@each_entry
@pytest.mark.parametrize("jacobian", JACOBIANS.values(), ids=JACOBIANS.keys())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_updates_are_finite_and_zero_only_without_gradients(entry, jacobian, dtype):
    jacobian = jacobian.to(dtype)
    if len(jacobian) < entry.least:
        pytest.skip(f"takes {entry.least} tasks or more")
    balancer = entry.build(len(jacobian), jacobian.shape[1])
    for _ in range(4):
        update = balancer(jacobian)
        assert update.shape == jacobian.shape[1:]
        assert update.isfinite().all()
        if len(jacobian) != 5:  # among the five of very different size the middle ones may be all that is kept
            assert bool(update.any()) == bool(jacobian.any()) or len(jacobian.unique(dim=0)) <= 2
    assert all(value.isfinite().all() for value in balancer.state_dict().values())


@each_entry
def test_a_single_tasks_update_is_its_gradient(entry):
    if entry.least > 1:
        pytest.skip(f"takes {entry.least} tasks or more")
    balancer, gradient = made(entry, 1), _random(1, 0)
    for _ in range(entry.settled):
        update = balancer(gradient)
        torch.testing.assert_close(update / update.norm(), gradient[0] / gradient.norm())
    torch.testing.assert_close(update, gradient[0], rtol=1e-6, atol=1e-9)


@each_entry
@pytest.mark.parametrize("tasks", [3, 6])
def test_the_order_of_the_rows_does_not_matter(entry, tasks):
    """Neither that in which named tasks come, nor that in which tasks were numbered from the start."""
    order = torch.randperm(tasks, generator=torch.Generator().manual_seed(2))
    assert not torch.equal(order, torch.arange(tasks))
    straight, named, renumbered = (made(entry, tasks) for _ in range(3))
    for step in range(5):
        jacobian = _random(tasks, step)
        expected = straight(jacobian)
        torch.testing.assert_close(named(jacobian[order], order.tolist()), expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(renumbered(jacobian[order]), expected, rtol=1e-9, atol=1e-12)
    for key, value in per_task(straight, tasks).items():
        torch.testing.assert_close(per_task(named, tasks)[key], value)
        torch.testing.assert_close(per_task(renumbered, tasks)[key], value[order])


@pytest.mark.parametrize("name", [name for name, entry in BALANCERS.items() if entry.neutral])
def test_a_row_of_zeros_is_neutral(name):
    jacobian = _random(4, 0)
    padded = torch.cat([jacobian[:2], torch.zeros(1, WIDTH, dtype=torch.float64), jacobian[2:]])
    expected = made(BALANCERS[name], 4)(jacobian)
    torch.testing.assert_close(made(BALANCERS[name], 5)(padded), expected)


@pytest.mark.parametrize("name", [name for name, entry in BALANCERS.items() if entry.scale])
@pytest.mark.parametrize("power", [-12, -3, 3, 12])
def test_the_update_follows_the_gradients_unit(name, power):
    one, other = (made(BALANCERS[name], 4) for _ in range(2))
    for step in range(3):
        jacobian = _random(4, step)
        torch.testing.assert_close(other(jacobian * 10.0**power) / 10.0**power, one(jacobian), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.parametrize("active", [[4, 1, 3], [0], [1, 2]])
def test_active_tasks_fare_as_if_the_others_were_not_there(name, active):
    whole, alone = made(STATEFUL[name], 5), made(STATEFUL[name], len(active))
    before = copy.deepcopy(per_task(whole, 5))
    for step in range(6):
        jacobian = _random(len(active), step)
        torch.testing.assert_close(whole(jacobian, active), alone(jacobian), rtol=1e-9, atol=1e-12)
    absent = [t for t in range(5) if t not in active]
    assert before
    for key, value in per_task(whole, 5).items():
        assert torch.equal(value[absent], before[key][absent]), key
    assert whole.weights[absent].tolist() == [0.0] * len(absent)
    assert whole.weights[active].sum() > 0


@pytest.mark.parametrize("name", STATEFUL)
def test_the_state_of_absent_tasks_waits_for_them(name):
    """In mid-run, after all of them have been seen."""
    balancer = made(STATEFUL[name], 5)
    for step in range(4):
        balancer(_random(5, step))
    before = copy.deepcopy(per_task(balancer, 5))
    for step in range(4, 8):
        balancer(_random(2, step), [0, 3])
    changed = set()
    for key, value in per_task(balancer, 5).items():
        assert torch.equal(value[[1, 2, 4]], before[key][[1, 2, 4]]), key
        changed |= {key} if not torch.equal(value[[0, 3]], before[key][[0, 3]]) else set()
    assert changed


@each_entry
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_fresh_instance_continues_from_the_state_to_the_bit(entry, dtype):
    balancer, fresh = (entry.build(4, WIDTH).to(dtype) for _ in range(2))
    for step in range(5):
        balancer(_random(4, step).to(dtype))
    balancer(_random(3, 50).to(dtype), [0, 2, 3])
    fresh.load_state_dict(copy.deepcopy(balancer.state_dict()))
    for step in range(5, 10):
        jacobian = _random(4, step).to(dtype)
        assert torch.equal(balancer(jacobian), fresh(jacobian))
    one, other = balancer.state_dict(), fresh.state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", [*STATEFUL, "graddrop"])
def test_the_state_counts(name):
    """Otherwise the test before this would pass for anything."""
    jacobian, balancer = _random(4, 9), made(BALANCERS[name], 4)
    for step in range(5):
        balancer(3.0 * _random(4, step))
    if name != "db_mtl, no past":
        assert not torch.equal(balancer(jacobian), made(BALANCERS[name], 4)(jacobian))


@each_entry
def test_no_global_generator_is_read_or_moved(entry):
    jacobian, runs = _random(4, 0), []
    with torch.random.fork_rng():
        for seed in (0, 1):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            balancer = made(entry, 4)
            runs.append(torch.stack([balancer(jacobian) for _ in range(3)]))
            assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*runs)


@each_entry
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_update_comes_in_the_gradients_dtype_on_their_device(entry, device, dtype):
    jacobian = _random(4, 0).to(device, dtype).requires_grad_()
    kept = jacobian.detach().clone()
    balancer = entry.build(4, WIDTH).to(device)
    for _ in range(2):
        update = balancer(jacobian)
        assert (update.dtype, update.device, update.requires_grad) == (dtype, jacobian.device, False)
    assert torch.equal(jacobian, kept)


@each_entry
@pytest.mark.parametrize("shape", [(), (3,), (0, WIDTH), (2, 2, 2)])
def test_anything_but_a_matrix_with_rows_is_refused(entry, shape):
    with pytest.raises(UserError, match=r"a Jacobian \[A, M\] expected, got"):
        entry.build(3, WIDTH)(torch.ones(shape))


@each_entry
def test_a_position_for_every_row(entry):
    with pytest.raises(UserError, match="a Jacobian of 3 tasks with 2 positions"):
        entry.build(3, WIDTH)(_random(3, 0), [0, 2])


@pytest.mark.parametrize("name", STATEFUL)
def test_gradients_of_another_length_are_refused(name):
    with pytest.raises(UserError, match=rf"made for {WIDTH} shared coordinates, the gradients have {WIDTH - 2}"):
        STATEFUL[name].build(3, WIDTH)(_random(3, 0, WIDTH - 2))


@pytest.mark.parametrize("name", BALANCERS)
def test_state_per_parameter_keeps_a_method_from_the_fork(name):
    balancer = BALANCERS[name].build(3, WIDTH)
    wide = [key for key, value in balancer.state_dict().items() if value.shape == (3, WIDTH)]
    assert bool(wide) == (not balancer.at_fork)
    assert not (balancer.elementwise and not balancer.at_fork)


@pytest.mark.parametrize("name", [name for name, entry in BALANCERS.items() if entry.build(3, WIDTH).elementwise])
def test_elementwise_methods_see_each_coordinate_alone(name):
    jacobian = _random(4, 0)
    other = jacobian.clone()
    other[:, 3] *= -5.0
    one, two = made(BALANCERS[name], 4)(jacobian), made(BALANCERS[name], 4)(other)
    kept = [i for i in range(WIDTH) if i != 3]
    assert torch.equal(one[kept], two[kept])
    assert one[3] != two[3]
