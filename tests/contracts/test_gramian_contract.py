"""What every Gramian balancer must satisfy. A new one joins with one line in `BALANCERS`."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from tolerance import SHIFT, assert_same_lengths
from torch import Tensor
from torchjd import aggregation

from trunkline.balance.base import GramianBalancer
from trunkline.balance.gradients.aligned import AlignedMTL
from trunkline.balance.gradients.cagrad import CAGrad
from trunkline.balance.gradients.conflict_free import ConFIG
from trunkline.balance.gradients.dualproj import DualProj
from trunkline.balance.gradients.equal import Equal
from trunkline.balance.gradients.fairgrad import FairGrad
from trunkline.balance.gradients.gradvac import GradVac
from trunkline.balance.gradients.imtl_g import IMTLG
from trunkline.balance.gradients.mgda import MGDA
from trunkline.balance.gradients.nash import NashMTL
from trunkline.balance.gradients.pcgrad import PCGrad
from trunkline.balance.gradients.upgrad import UPGrad
from trunkline.errors import UserError

BALANCERS: dict[str, Callable[..., GramianBalancer]] = {
    "aligned": AlignedMTL,
    "aligned, median": partial(AlignedMTL, scale="median"),
    "aligned, rmse": partial(AlignedMTL, scale="rmse"),
    "cagrad": CAGrad,
    "cagrad, c 0": partial(CAGrad, c=0.0),
    "cagrad, c 3": partial(CAGrad, c=3.0),
    "conflict_free": ConFIG,
    "dualproj": DualProj,
    "equal": Equal,
    "fairgrad": FairGrad,
    "fairgrad, alpha 0.3": partial(FairGrad, alpha=0.3),
    "fairgrad, alpha 10": partial(FairGrad, alpha=10.0),
    "gradvac": partial(GradVac, 17),
    "imtl_g": IMTLG,
    "mgda": MGDA,
    "mgda, normalized": partial(MGDA, normalize=True),
    "nash": NashMTL,
    "pcgrad": PCGrad,
    "upgrad": UPGrad,
}
DRAWS = {"pcgrad", "gradvac"}
"""Methods that draw: permuting the tasks permutes their weights only if the draws are permuted too."""
SIGNED = {name for name in BALANCERS if name.startswith(("aligned", "conflict_free", "imtl_g"))}
"""Methods by whose definition a task may count negatively, so that the sum of the weights may be anything."""
NON_CONFLICTING = {name: BALANCERS[name] for name in ("dualproj", "fairgrad", "mgda", "nash", "upgrad")}

each_balancer = pytest.mark.parametrize("build", BALANCERS.values(), ids=BALANCERS.keys())
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def _random(tasks: int, width: int, seed: int) -> Tensor:
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _conflicting(tasks: int, width: int, seed: int) -> Tensor:
    """Gradients that mostly point against the first."""
    jacobian = _random(tasks, width, seed)
    jacobian[1:] -= 1.5 * jacobian[0]
    return jacobian


JACOBIANS = {  # [A, M]: the gradients of A tasks
    "random": _random(4, 10, 0),
    "more tasks than dimensions": _random(7, 3, 1),
    "conflicting": _conflicting(3, 8, 2),
    "17 tasks": _conflicting(17, 40, 3),
    "scales 1e-6 to 1e6": _random(5, 10, 4) * torch.logspace(-6, 6, 5, dtype=torch.float64)[:, None],
    "duplicated task": _random(4, 10, 5)[[0, 1, 1, 2, 3, 1]],
    "zero-gradient task": _random(4, 10, 6) * torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)[:, None],
    "all but one zero": torch.eye(4, dtype=torch.float64)[:, :1] * 0.3 * torch.ones(10, dtype=torch.float64),
    "rank one": _random(1, 10, 7) * torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)[:, None],
    "nearly parallel": _random(1, 10, 8) + 1e-7 * _random(4, 10, 9),
    "nearly opposed": _random(1, 10, 10) * torch.tensor([[1.0], [-0.9]]) + 1e-5 * _random(2, 10, 11),
}
each_jacobian = pytest.mark.parametrize("jacobian", JACOBIANS.values(), ids=JACOBIANS.keys())


@each_balancer
@each_jacobian
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rescale", [True, False])
def test_weights_are_finite_and_the_update_is_not_zero(build, jacobian, dtype, rescale):
    jacobian = jacobian.to(dtype)
    weights = build(rescale=rescale)(jacobian @ jacobian.T)
    assert weights.shape == (len(jacobian),)
    assert weights.dtype == dtype
    assert weights.isfinite().all()
    update = weights @ jacobian
    assert update.isfinite().all()
    assert update.norm() > 0


@each_balancer
@pytest.mark.parametrize("tasks", [1, 2, 17])
def test_no_gradient_at_all_gives_finite_weights(build, tasks):
    weights = build()(torch.zeros(tasks, tasks))
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.sum(), torch.tensor(float(tasks)))


@each_balancer
@pytest.mark.parametrize("scale", [0.0, 1.0, -1.0])
def test_opposed_duplicates_are_finite(build, scale):
    row = _random(1, 6, 0) * torch.tensor([1.0, -1.0, scale], dtype=torch.float64)[:, None]
    assert build()(row @ row.T).isfinite().all()


@each_balancer
def test_a_square_that_underflows_is_finite(build):
    """In float32 a gradient of 1e-25 has square 0, while its product with a large one has not."""
    gramian = torch.tensor([[1.0, -1e-25], [-1e-25, 0.0]])
    weights = build()(gramian)
    assert weights.isfinite().all()
    assert weights[0] > 0


@pytest.mark.parametrize("name", BALANCERS)
@each_jacobian
def test_rescaled_weights_sum_to_the_number_of_tasks(name, jacobian):
    gramian = jacobian @ jacobian.T
    weights, plain = BALANCERS[name]()(gramian), BALANCERS[name](rescale=False)(gramian)
    assert_same_lengths(weights / weights.abs().sum(), plain / plain.abs().sum(), gramian)
    torch.testing.assert_close(weights.abs().sum(), torch.tensor(float(len(jacobian)), dtype=torch.float64))
    if name not in SIGNED:
        assert (weights >= 0).all()


@pytest.mark.parametrize("name", sorted(BALANCERS.keys() - DRAWS))
@each_jacobian
def test_a_task_without_gradient_leaves_the_others_as_they_are(name, jacobian):
    """Its own weight may be anything that is finite; PCGrad's and GradVac's orders change with the number of tasks."""
    padded = torch.cat([jacobian[:1], torch.zeros_like(jacobian[:1]), jacobian[1:]])
    weights = BALANCERS[name](rescale=False)(padded @ padded.T)
    alone = BALANCERS[name](rescale=False)(jacobian @ jacobian.T)
    others = torch.cat([weights[:1], weights[2:]])
    assert_same_lengths(others / others.abs().sum(), alone / alone.abs().sum(), jacobian @ jacobian.T)
    assert weights[1] >= 0


@each_balancer
@pytest.mark.parametrize("tasks", [2, 5, 16])
@pytest.mark.parametrize("conflict", [0.0, 1.0])
@pytest.mark.parametrize("order", [1, -1])
def test_norms_from_1e_12_to_1e12_in_float32(build, tasks, conflict, order):
    jacobian = _random(tasks, 40, 12)
    jacobian[1:] -= conflict * jacobian[0]
    norms = torch.logspace(-12 * order, 12 * order, tasks, dtype=torch.float64)
    jacobian = (jacobian / jacobian.norm(dim=1, keepdim=True) * norms[:, None]).float()
    weights = build()(jacobian @ jacobian.T)
    assert weights.isfinite().all()
    assert (weights.double() @ jacobian.double()).norm() > 0


@each_balancer
@each_jacobian
@pytest.mark.parametrize("seed", range(3))
def test_a_gramian_with_float32s_rounding_gives_bounded_weights(build, jacobian, seed):
    """Rounding makes eigenvalues negative that are 0; no weight may follow them to infinity."""
    unit = (jacobian / jacobian.norm(dim=1, keepdim=True).clamp(min=1e-300)).float()
    noise = 1e-7 * torch.randn(len(unit), len(unit), generator=torch.Generator().manual_seed(seed))
    weights = build()(unit @ unit.T + noise + noise.T)
    assert weights.isfinite().all()
    assert weights.abs().max() > 0


@pytest.mark.parametrize("name", BALANCERS)
@each_jacobian
def test_the_others_positions_do_not_matter(name, jacobian):
    """The active tasks' weights are those of a problem without the others, wherever they stand among all tasks."""
    gramian = jacobian @ jacobian.T
    positions = torch.randperm(17, generator=torch.Generator().manual_seed(3))[: len(gramian)].tolist()
    assert torch.equal(BALANCERS[name]()(gramian, positions), BALANCERS[name]()(gramian))


@each_balancer
@pytest.mark.parametrize("norm", [1e-12, 1.0, 1e12])
def test_one_task_keeps_its_gradient(build, norm):
    torch.testing.assert_close(build()(torch.tensor([[norm]]) ** 2), torch.ones(1))


@each_balancer
@each_jacobian
@pytest.mark.parametrize("power", [-24, -6, 6, 24])
def test_only_the_gramians_proportions_count(build, jacobian, power):
    gramian = jacobian @ jacobian.T
    # At the ends of the range only proportions of up to 1e12 fit into float32.
    gramian = gramian / gramian.diagonal().max()
    expected = build()(gramian)
    assert_same_lengths(build()(gramian * 10.0**power), expected, gramian)
    if gramian[gramian != 0].abs().min() > 1e-10:
        small = gramian.float()
        assert torch.equal(build()(small * 2.0 ** (3 * power)), build()(small))


@each_balancer
@each_jacobian
@pytest.mark.parametrize("rescale", [True, False])
def test_a_power_of_two_changes_no_bit(build, jacobian, rescale):
    gramian = jacobian @ jacobian.T
    expected = build(rescale=rescale)(gramian)
    for power in (-900, -301, -1, 1, 60, 900):
        assert torch.equal(build(rescale=rescale)(gramian * 2.0**power), expected), power


@pytest.mark.parametrize("name", sorted(BALANCERS.keys() - DRAWS))
@each_jacobian
def test_permuting_the_tasks_permutes_the_weights(name, jacobian):
    gramian = jacobian @ jacobian.T
    order = torch.randperm(len(gramian), generator=torch.Generator().manual_seed(1))
    back = BALANCERS[name]()(gramian[order][:, order])[order.argsort()]
    assert_same_lengths(back, BALANCERS[name]()(gramian), gramian)


@each_balancer
def test_permuting_two_tasks_permutes_the_weights(build):
    """With two tasks there is one order, so this holds for methods that draw as well."""
    jacobian = _conflicting(2, 6, 3) * torch.tensor([[1.0], [3.0]])
    gramian = jacobian @ jacobian.T
    assert_same_lengths(build()(gramian.flip(0, 1)).flip(0), build()(gramian), gramian)


@each_jacobian
def test_permuting_the_tasks_and_the_orders_permutes_pcgrads_weights(jacobian):
    gramian, tasks = jacobian @ jacobian.T, len(jacobian)
    generator = torch.Generator().manual_seed(2)
    orders = [torch.randperm(tasks, generator=generator) for _ in range(tasks)]
    order = torch.randperm(tasks, generator=generator)
    place = order.argsort()  # where each task has gone
    permuted = PCGrad.project(gramian[order][:, order].tolist(), [place[orders[i]].tolist() for i in order])
    expected = torch.tensor(PCGrad.project(gramian.tolist(), [each.tolist() for each in orders]), dtype=torch.float64)
    assert_same_lengths(torch.tensor(permuted, dtype=torch.float64)[place], expected, gramian)


@each_balancer
def test_a_fresh_instance_continues_from_the_state(build):
    jacobians = [_conflicting(6, 5, seed) for seed in range(12)]
    gramians = [jacobian @ jacobian.T for jacobian in jacobians]
    balancer, fresh = build(), build()
    for gramian in gramians[:5]:
        balancer(gramian)
    fresh.load_state_dict(copy.deepcopy(balancer.state_dict()))
    for gramian in gramians[5:]:
        assert torch.equal(balancer(gramian), fresh(gramian))


@each_balancer
def test_two_instances_agree_whatever_the_global_generator(build):
    gramian = _conflicting(6, 5, 0) @ _conflicting(6, 5, 0).T
    with torch.random.fork_rng():
        runs = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            balancer = build()
            runs.append(torch.stack([balancer(gramian) for _ in range(4)]))
        assert torch.equal(*runs)


@each_balancer
def test_the_global_generator_is_not_touched(build):
    jacobian, before = _conflicting(6, 5, 0), torch.get_rng_state()
    balancer = build()
    for _ in range(3):
        balancer(jacobian @ jacobian.T)
    assert torch.equal(torch.get_rng_state(), before)


@each_balancer
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_weights_come_in_the_gramians_dtype_on_its_device(build, device, dtype):
    jacobian = _conflicting(3, 5, 0)
    gramian = (jacobian @ jacobian.T).to(device, dtype).requires_grad_()
    kept = gramian.detach().clone()
    weights = build()(gramian)
    assert weights.dtype == dtype
    assert weights.device == gramian.device
    assert not weights.requires_grad
    assert torch.equal(gramian, kept)


@each_balancer
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 0), (2, 2, 2)])
def test_anything_but_a_square_is_refused(build, shape):
    with pytest.raises(UserError, match="square Gramian"):
        build()(torch.ones(shape))


@pytest.mark.parametrize("build", NON_CONFLICTING.values(), ids=NON_CONFLICTING.keys())
@each_jacobian
def test_the_update_conflicts_with_no_task(build, jacobian):
    gramian = jacobian @ jacobian.T
    weights = build(rescale=False)(gramian)
    norms = jacobian.norm(dim=1)
    # A shifted matrix lets C·y fall below 0 by the shift times y, and by rounding of the vectors that are added up.
    allowed = 10 * SHIFT
    assert (jacobian @ (weights @ jacobian) >= -allowed * norms * (weights * norms).max()).all()


def test_the_plain_sum_would_conflict():
    gramian = JACOBIANS["17 tasks"] @ JACOBIANS["17 tasks"].T
    assert gramian.sum(1).min() < -10e-4 * gramian.trace()


@each_jacobian
@pytest.mark.parametrize("rescale", [True, False])
def test_equal_is_torchjds_sum(jacobian, rescale):
    weights = Equal(rescale=rescale)(jacobian @ jacobian.T)
    torch.testing.assert_close(weights @ jacobian, aggregation.Sum()(jacobian))


@each_jacobian
@pytest.mark.parametrize("seed", range(3))
def test_pcgrad_is_torchjds(jacobian, seed, monkeypatch):
    gramian, generator = jacobian @ jacobian.T, torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(gramian), generator=generator) for _ in gramian]
    drawn = iter(orders)
    monkeypatch.setattr(torch, "randperm", lambda *_, **__: next(drawn))
    expected = aggregation.PCGradWeighting()(gramian)
    assert next(drawn, None) is None
    projected = PCGrad.project(gramian.tolist(), [order.tolist() for order in orders])
    torch.testing.assert_close(torch.tensor(projected, dtype=torch.float64), expected, rtol=1e-10, atol=1e-10)


def test_pcgrad_follows_the_papers_algorithm_on_vectors():
    """Two gradients in the plane: each loses its component along the other."""
    jacobian = torch.tensor([[1.0, 0.0], [-3.0, 4.0]], dtype=torch.float64)
    # g1 - (g1·g2/|g2|²)·g2 = (1, 0) + 3/25·(-3, 4); g2 - (g2·g1/|g1|²)·g1 = (-3, 4) + 3·(1, 0)
    expected = torch.tensor([1 - 9 / 25, 12 / 25 + 4], dtype=torch.float64)
    update = PCGrad(rescale=False)(jacobian @ jacobian.T) @ jacobian
    torch.testing.assert_close(update, expected)


def test_pcgrad_leaves_gradients_without_conflict_alone():
    jacobian = _random(5, 8, 0).abs()
    assert torch.equal(PCGrad(rescale=False)(jacobian @ jacobian.T), torch.ones(5, dtype=torch.float64))


def test_pcgrad_draws_a_new_order_each_time_and_for_each_seed():
    jacobian = _conflicting(6, 5, 0)
    gramian = jacobian @ jacobian.T
    balancer = PCGrad()
    draws = [tuple(balancer(gramian).tolist()) for _ in range(6)]
    assert len(set(draws)) > 1
    seeds = [tuple(PCGrad(seed=seed)(gramian).tolist()) for seed in range(6)]
    assert len(set(seeds)) > 1
    assert balancer.draws == 6
