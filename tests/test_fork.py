import copy
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.nn import functional

from trunkline.balance import Equal, PCGrad, UPGrad
from trunkline.errors import UserError
from trunkline.fork import Fork

WIDE, NARROW = 6, 4


class Recorder(nn.Module):
    """Gives fixed weights and keeps the Gramians it was asked about."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.chosen = torch.tensor(weights)
        self.asked: list[Tensor] = []

    def forward(self, gramian: Tensor, active: Sequence[int] | None = None) -> Tensor:
        self.asked.append(gramian.clone())
        return self.chosen.to(gramian)


def data(n: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, WIDE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def network(tasks: int, *, dtype: torch.dtype = torch.float64) -> tuple[nn.Linear, list[nn.Linear]]:
    """A trunk, and one tower a task; towers of conflicting sign and of sizes far apart."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        trunk = nn.Linear(WIDE, NARROW)
        towers = [nn.Linear(NARROW, 1) for _ in range(tasks)]
        with torch.no_grad():
            for i, tower in enumerate(towers):
                tower.weight.mul_(1.3**i)
                if i:
                    tower.weight.sub_(towers[0].weight)
    return trunk.to(dtype), [tower.to(dtype) for tower in towers]


def task_loss(task: int, raw: Tensor) -> Tensor:
    return raw.square().sum() if task % 2 else functional.softplus(raw).sum()


def backward(fork: Fork, x: Tensor, *, skip: tuple[int, ...] = (), zero: tuple[int, ...] = ()):
    """Gradients of trunk and towers after one backward of the plain sum of losses."""
    trunk, towers = network(fork.tasks, dtype=x.dtype)
    copies = fork(trunk(x))
    losses = [
        task_loss(i, tower(copy)) * (0.0 if i in zero else 1.0)
        for i, (tower, copy) in enumerate(zip(towers, copies, strict=True))
        if i not in skip
    ]
    sum(losses).backward()
    return [p.grad for p in trunk.parameters()], [[p.grad for p in tower.parameters()] for tower in towers]


def cotangents(tasks: int, x: Tensor) -> Tensor:
    """`[T, N·d]`, each from a graph of its own."""
    trunk, towers = network(tasks, dtype=x.dtype)
    rows = []
    for i, tower in enumerate(towers):
        shared = trunk(x).detach().requires_grad_()
        rows.append(torch.autograd.grad(task_loss(i, tower(shared)), shared)[0].flatten())
    return torch.stack(rows)


@pytest.mark.parametrize("shape", [(1, 3), (4, 3), (2, 3, 4), (5,)])
@pytest.mark.parametrize("tasks", [1, 2, 17])
@pytest.mark.parametrize("balancer", [None, Equal()])
def test_forward_is_the_identity(shape, tasks, balancer):
    shared = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    copies = Fork(tasks, balancer)(shared)
    assert len(copies) == tasks
    assert all(torch.equal(copy, shared) for copy in copies)


def test_a_fork_without_branches_is_refused():
    with pytest.raises(UserError, match="at least one branch, not 0"):
        Fork(0)


@pytest.mark.parametrize("tasks", [1, 2, 5, 17])
@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_weights_reproduce_the_plain_gradient(tasks, n, dtype):
    x = data(n, dtype=dtype)
    plain, balanced = backward(Fork(tasks), x), backward(Fork(tasks, Equal()), x)
    torch.testing.assert_close(balanced[0], plain[0])


@pytest.mark.parametrize("balancer", [Equal, PCGrad, UPGrad, lambda: Recorder(5.0, 0.0, -1.0)])
def test_no_balancer_touches_the_towers_own_gradients(balancer):
    plain, balanced = backward(Fork(3), data(8)), backward(Fork(3, balancer()), data(8))
    for tower, expected in zip(balanced[1], plain[1], strict=True):
        assert all(torch.equal(gradient, other) for gradient, other in zip(tower, expected, strict=True))


@pytest.mark.parametrize("tasks", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize("build", [Equal, PCGrad, UPGrad])
def test_the_trunk_gets_the_weighted_sum_of_the_tasks_gradients(tasks, n, build):
    x = data(n)
    rows = cotangents(tasks, x)
    weights = build()(rows @ rows.T)
    trunk, _ = network(tasks)
    expected = torch.autograd.grad(trunk(x), list(trunk.parameters()), (weights @ rows).view(n, NARROW))
    fork = Fork(tasks, build())
    gradients, _ = backward(fork, x)
    torch.testing.assert_close(gradients, list(expected))
    torch.testing.assert_close(fork.weights.double(), weights, check_dtype=False, rtol=1e-5, atol=1e-6)


def test_balancing_is_not_the_plain_sum_here():
    plain, balanced = backward(Fork(3), data(8)), backward(Fork(3, PCGrad()), data(8))
    assert not torch.allclose(plain[0][0], balanced[0][0], rtol=1e-2)


def test_the_balancer_is_asked_about_the_gramian_of_the_flattened_gradients():
    recorder, x = Recorder(3.0, 0.0, 1.0), data(5)
    fork = Fork(3, recorder)
    assert fork.weights.tolist() == [1.0, 1.0, 1.0]
    gradients, _ = backward(fork, x)
    rows = cotangents(3, x)
    torch.testing.assert_close(recorder.asked, [torch.mm(rows, rows.T)])
    assert fork.weights.tolist() == [3.0, 0.0, 1.0]
    trunk, _ = network(3)
    mixed = (3 * rows[0] + rows[2]).view(5, NARROW)
    torch.testing.assert_close(gradients, list(torch.autograd.grad(trunk(x), list(trunk.parameters()), mixed)))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_tensors_of_any_shape_fork(shape):
    shared = torch.ones(shape, requires_grad=True)
    one, other = Fork(2, Recorder(2.0, -1.0))(shared)
    (3 * one + other).sum().backward()
    assert torch.equal(shared.grad, torch.full(shape, 5.0))


@pytest.mark.parametrize("how", ["skip", "zero"])
@pytest.mark.parametrize("build", [Equal, PCGrad, UPGrad])
@pytest.mark.parametrize("off", [0, 2, 4])
def test_an_inactive_task_takes_no_part(how, build, off):
    x, kept = data(8), [i for i in range(5) if i != off]
    fork = Fork(5, build())
    gradients, _ = backward(fork, x, **{how: (off,)})

    trunk, towers = network(5)
    less = Fork(4, build())
    copies = less(trunk(x))
    sum(task_loss(i, towers[i](copy)) for i, copy in zip(kept, copies, strict=True)).backward()

    assert fork.weights[off] == 0
    torch.testing.assert_close(fork.weights[kept], less.weights)
    torch.testing.assert_close(gradients, [p.grad for p in trunk.parameters()])


def test_missing_and_zero_gradients_together():
    recorder = Recorder(2.0, 3.0)
    fork = Fork(4, recorder)
    shared = torch.ones(3, requires_grad=True)
    copies = fork(shared)
    (copies[0] + 0.0 * copies[1] + copies[3] * torch.tensor([1.0, 0.0, 0.0])).sum().backward()
    assert recorder.asked[0].tolist() == [[3.0, 1.0], [1.0, 1.0]]
    assert fork.weights.tolist() == [2.0, 0.0, 0.0, 3.0]
    assert shared.grad.tolist() == [5.0, 2.0, 2.0]


@pytest.mark.parametrize("tasks", [1, 3])
def test_no_active_task_asks_no_balancer(tasks):
    recorder = Recorder(*[1.0] * tasks)
    fork, shared = Fork(tasks, recorder), torch.ones(3, requires_grad=True)
    (0.0 * sum(fork(shared))).sum().backward()
    assert not recorder.asked
    assert fork.weights.tolist() == [0.0] * tasks
    assert shared.grad.tolist() == [0.0, 0.0, 0.0]


def test_accumulated_gradients_are_balanced_backward_by_backward():
    trunk, towers = network(3)
    fork, parts = Fork(3, PCGrad(seed=3)), [data(4, seed=1), data(8, seed=2)]
    for x in parts:
        sum(
            task_loss(i, tower(copy)) for i, (tower, copy) in enumerate(zip(towers, fork(trunk(x)), strict=True))
        ).backward()
    expected, balancer = 0.0, PCGrad(seed=3)
    for x in parts:
        rows = cotangents(3, x)
        mixed = (balancer(rows @ rows.T) @ rows).view(-1, NARROW)
        expected = expected + torch.autograd.grad(trunk(x), trunk.weight, mixed)[0]
    torch.testing.assert_close(trunk.weight.grad, expected)
    assert fork.balancer.draws == 2


def test_the_same_graph_twice_is_balanced_twice():
    recorder, shared = Recorder(2.0, 0.0), torch.ones(2, requires_grad=True)
    loss = sum(copy.square().sum() for copy in Fork(2, recorder)(shared))
    loss.backward(retain_graph=True)
    loss.backward()
    assert len(recorder.asked) == 2
    assert shared.grad.tolist() == [8.0, 8.0]


def test_without_gradients_nothing_is_balanced():
    fork, trunk = Fork(2, Recorder(2.0, 0.0)), nn.Linear(3, 4)
    with torch.no_grad():
        shared = trunk(torch.ones(2, 3))
        copies = fork(shared)
    assert not any(copy.requires_grad for copy in copies)
    assert all(torch.equal(copy, shared) for copy in copies)


def test_an_input_without_gradient_passes():
    recorder = Recorder(2.0, 0.0)
    tower = nn.Linear(3, 1)
    one, other = Fork(2, recorder)(torch.ones(4, 3))
    (tower(one) + tower(other)).sum().backward()
    assert tower.bias.grad.tolist() == [8.0]
    assert not recorder.asked


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gradients_are_balanced_in_float32(dtype):
    recorder = Recorder(0.5, 2.0)
    fork, shared = Fork(2, recorder), torch.ones(4, 64, dtype=dtype, requires_grad=True)
    one, other = fork(shared)
    assert one.dtype == dtype
    (300 * one - 200 * other).sum().backward()
    assert shared.grad.dtype == dtype
    # The products 300²·256 and the like are far beyond float16.
    assert recorder.asked[0].dtype == torch.float32
    assert recorder.asked[0].tolist() == [
        [300 * 300 * 256.0, -300 * 200 * 256.0],
        [-300 * 200 * 256.0, 200 * 200 * 256.0],
    ]
    assert torch.equal(shared.grad, torch.full_like(shared, -250.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
def test_overflowed_gradients_pass_as_the_plain_sum(dtype, bad):
    recorder, size = Recorder(0.0, 0.0), torch.tensor([1.0, bad, 3.0], dtype=dtype)
    fork, shared = Fork(2, recorder), torch.ones(3, dtype=dtype, requires_grad=True)
    one, other = fork(shared)
    (one * size + 2 * other).sum().backward()
    assert not recorder.asked
    assert fork.weights.tolist() == [1.0, 1.0]
    torch.testing.assert_close(shared.grad, size + 2, equal_nan=True)


def test_a_broken_step_leaves_the_balancers_state_alone():
    balancer, shared = PCGrad(), torch.ones(3, requires_grad=True)
    fork = Fork(2, balancer)
    one, other = fork(shared)
    (torch.inf * one + other).sum().backward()
    assert balancer.draws == 0
    one, other = fork(shared)
    (one - 2 * other).sum().backward()
    assert balancer.draws == 1


def test_forks_follow_one_another():
    shared = torch.ones(3, requires_grad=True)
    inner, outer = Fork(1, Equal()), Fork(1, Recorder(4.0))
    (only,) = inner(*outer(shared))
    (2 * only).sum().backward()
    assert shared.grad.tolist() == [8.0, 8.0, 8.0]
    assert inner.weights.tolist() == [1.0]
    assert outer.weights.tolist() == [4.0]


def test_the_state_is_all_there_is():
    fork = Fork(3, PCGrad(), update_every=2)
    assert list(fork.state_dict()) == ["weights", "backwards", "balancer.draws"]
    backward(fork, data(4))
    fresh = Fork(3, PCGrad(), update_every=2)
    fresh.load_state_dict(copy.deepcopy(fork.state_dict()))
    for seed in range(3):
        one, other = backward(fork, data(4, seed=seed))[0], backward(fresh, data(4, seed=seed))[0]
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _part(fork: Fork, x: Tensor, *, with_last: bool) -> list[Tensor]:
    gradients, _ = backward(fork, x, skip=() if with_last else (3,))
    return [fork.weights.clone(), *gradients]


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    fork = Fork(4, PCGrad(seed=5), process_group=dist.new_group([0, 1]))
    # Only the first process has rows of the last task.
    results = [_part(fork, data(8, seed=seed)[4 * rank : 4 * rank + 4], with_last=rank == 0) for seed in range(2)]
    torch.save(results, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="this torch has no gloo")
def test_processes_balance_their_batches_as_one(tmp_path: Path):
    multiprocessing.spawn(_process, (str(tmp_path),), nprocs=2)
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]

    single = PCGrad(seed=5)
    for step in range(2):
        x = data(8, seed=step)
        rows = cotangents(4, x).view(4, 8, NARROW)
        rows[3, 4:] = 0.0
        flat = rows.flatten(1)
        weights = single(flat @ flat.T)
        trunk, _ = network(4)
        mixed = (weights @ flat).view(8, NARROW)
        expected = torch.autograd.grad(trunk(x), list(trunk.parameters()), mixed)
        (first, *one), (second, *other) = both[0][step], both[1][step]
        assert torch.equal(first, second)
        torch.testing.assert_close(first.double(), weights, check_dtype=False, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close([a + b for a, b in zip(one, other, strict=True)], list(expected))
        assert not torch.allclose(weights, torch.ones(4, dtype=torch.float64), rtol=1e-2)
