"""What every Gramian balancer must satisfy. A new one joins with one line in `BALANCERS`."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchjd import aggregation

from trunkline.balance import Equal, GramianBalancer, PCGrad, UPGrad
from trunkline.errors import UserError

BALANCERS: dict[str, Callable[..., GramianBalancer]] = {"equal": Equal, "pcgrad": PCGrad, "upgrad": UPGrad}
DRAWS = {"pcgrad"}
"""Methods that draw: permuting the tasks permutes their weights only if the draws are permuted too."""
NON_CONFLICTING = {"upgrad": UPGrad}

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


@each_balancer
@each_jacobian
def test_rescaled_weights_sum_to_the_number_of_tasks(build, jacobian):
    gramian = jacobian @ jacobian.T
    weights, plain = build()(gramian), build(rescale=False)(gramian)
    torch.testing.assert_close(weights.sum(), torch.tensor(float(len(jacobian)), dtype=torch.float64))
    torch.testing.assert_close(weights * plain.sum(), plain * len(jacobian))


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
    torch.testing.assert_close(build()(gramian * 10.0**power), expected, rtol=1e-6, atol=1e-9)
    if gramian[gramian != 0].abs().min() > 1e-10:
        small = gramian.float()
        torch.testing.assert_close(build()(small * 2.0 ** (3 * power)), build()(small), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", sorted(BALANCERS.keys() - DRAWS))
@each_jacobian
def test_permuting_the_tasks_permutes_the_weights(name, jacobian):
    gramian = jacobian @ jacobian.T
    order = torch.randperm(len(gramian), generator=torch.Generator().manual_seed(1))
    permuted = BALANCERS[name]()(gramian[order][:, order])
    torch.testing.assert_close(permuted @ jacobian[order], BALANCERS[name]()(gramian) @ jacobian, rtol=1e-4, atol=1e-7)
    if torch.linalg.matrix_rank(jacobian) == len(jacobian):
        torch.testing.assert_close(permuted, BALANCERS[name]()(gramian)[order], rtol=1e-4, atol=1e-7)


@each_balancer
def test_permuting_two_tasks_permutes_the_weights(build):
    """With two tasks there is one order, so this holds for methods that draw as well."""
    jacobian = _conflicting(2, 6, 3) * torch.tensor([[1.0], [3.0]])
    gramian = jacobian @ jacobian.T
    torch.testing.assert_close(build()(gramian.flip(0, 1)), build()(gramian).flip(0), rtol=1e-6, atol=1e-9)


@each_jacobian
def test_permuting_the_tasks_and_the_orders_permutes_pcgrads_weights(jacobian):
    gramian, tasks = jacobian @ jacobian.T, len(jacobian)
    generator = torch.Generator().manual_seed(2)
    orders = [torch.randperm(tasks, generator=generator) for _ in range(tasks)]
    order = torch.randperm(tasks, generator=generator)
    place = order.argsort()  # where each task has gone
    permuted = PCGrad.project(gramian[order][:, order], [place[orders[i]] for i in order])
    torch.testing.assert_close(permuted, PCGrad.project(gramian, orders)[order], rtol=1e-6, atol=1e-9)


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
    # torchjd's solver works on gramian + 1e-4·trace·identity, so this is by how much the cone can be missed.
    tolerance = 1e-4 * gramian.trace() * weights.abs() + 1e-8 * gramian.trace()
    assert (jacobian @ (weights @ jacobian) >= -tolerance).all()


def test_the_plain_sum_would_conflict():
    gramian = JACOBIANS["17 tasks"] @ JACOBIANS["17 tasks"].T
    assert gramian.sum(1).min() < -10e-4 * gramian.trace()


@each_jacobian
@pytest.mark.parametrize("rescale", [True, False])
def test_equal_is_torchjds_sum(jacobian, rescale):
    weights = Equal(rescale=rescale)(jacobian @ jacobian.T)
    torch.testing.assert_close(weights @ jacobian, aggregation.Sum()(jacobian))


@each_jacobian
def test_upgrad_is_torchjds(jacobian):
    update = UPGrad(rescale=False)(jacobian @ jacobian.T) @ jacobian
    torch.testing.assert_close(update, aggregation.UPGrad()(jacobian), rtol=1e-6, atol=1e-8)


@each_jacobian
@pytest.mark.parametrize("seed", range(3))
def test_pcgrad_is_torchjds(jacobian, seed, monkeypatch):
    gramian, generator = jacobian @ jacobian.T, torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(gramian), generator=generator) for _ in gramian]
    drawn = iter(orders)
    monkeypatch.setattr(torch, "randperm", lambda *_, **__: next(drawn))
    expected = aggregation.PCGradWeighting()(gramian)
    assert next(drawn, None) is None
    torch.testing.assert_close(PCGrad.project(gramian, orders), expected, rtol=1e-10, atol=1e-10)


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
