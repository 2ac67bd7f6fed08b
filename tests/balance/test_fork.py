import copy
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from trunkline.balance import (
    DBMTL,
    Equal,
    ExcessMTL,
    FromTorchJD,
    GradDrop,
    GradVac,
    GramianBalancer,
    JacobianBalancer,
    MoCo,
    PCGrad,
    Sum,
    UPGrad,
)
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.nn.mlp import Layers
from trunkline.sharing import SharedBottom
from trunkline.tasks import Binary, Multiclass, Regression
from trunkline.towers import Towers

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


class Counted(GramianBalancer):
    """Counts its calls; the first task's weight is their number."""

    def __init__(self) -> None:
        super().__init__(rescale=False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        self.calls += 1
        return torch.cat([self.calls[None].to(gramian), torch.ones(len(gramian) - 1).to(gramian)])


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
    assert list(fork.state_dict()) == ["weights", "absent", "backwards", "balancer.draws"]
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


class TwoTensors(nn.Module):
    """A trunk with two outputs of different widths."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(2)
            self.left, self.right = nn.Linear(WIDE, 3).double(), nn.Linear(WIDE, 5).double()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.left(x), self.right(x).tanh()


def losses_of_two(copies: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The second task reads the right tensor alone, the third the left one."""
    return [
        copies[0][0].square().sum() - copies[0][1].sum(),
        (copies[1][1] * 3).sigmoid().sum(),
        (copies[2][0] - 1).square().sum(),
    ]


def cotangents_of_two(x: Tensor) -> Tensor:
    rows = []
    for task in range(3):
        leaves = [tensor.detach().requires_grad_() for tensor in TwoTensors()(x)]
        loss = losses_of_two([leaves] * 3)[task]
        pieces = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        rows.append(torch.cat([piece.flatten() for piece in pieces]))
    return torch.stack(rows)


@pytest.mark.parametrize("build", [Equal, PCGrad, UPGrad])
@pytest.mark.parametrize("n", [1, 7])
def test_several_tensors_balance_as_one_cut(build, n):
    x, trunk, fork = data(n), TwoTensors(), Fork(3, build()).double()
    copies = fork.split(*trunk(x))
    assert [[tensor.shape for tensor in copy] for copy in copies] == [[(n, 3), (n, 5)]] * 3
    sum(losses_of_two(copies)).backward()
    rows = cotangents_of_two(x)
    left, right = rows[:, : 3 * n], rows[:, 3 * n :]
    assert not left[1].any()
    assert not right[2].any()
    torch.testing.assert_close(fork.gramian, left @ left.T + right @ right.T)
    weights = build()(fork.gramian)
    torch.testing.assert_close(fork.weights, weights)
    again = TwoTensors()
    mixed = [(weights @ left).view(n, 3), (weights @ right).view(n, 5)]
    expected = torch.autograd.grad(again(x), list(again.parameters()), mixed)
    torch.testing.assert_close([p.grad for p in trunk.parameters()], list(expected))


def test_a_tensor_that_no_task_reads_gets_no_gradient():
    fork, one, other = Fork(2, Equal()), torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    first, second = fork.split(one, other)
    (first[0].sum() - 3 * second[0].sum()).backward()
    assert one.grad.tolist() == [-2.0] * 3
    assert other.grad is None
    assert fork.gramian.tolist() == [[3.0, -9.0], [-9.0, 27.0]]


def test_tensors_of_several_dtypes_are_one_cut():
    fork, one = Fork(2, Equal()), torch.ones(3, requires_grad=True)
    other = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    first, second = fork.split(one, other)
    (first[0].sum() + 2 * first[1].sum() + second[1].sum()).backward()
    assert (one.grad.dtype, other.grad.dtype) == (torch.float32, torch.bfloat16)
    assert fork.gramian.tolist() == [[11.0, 4.0], [4.0, 2.0]]
    assert other.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_between_updates_the_last_weights_serve(every):
    fork, weights = Fork(3, Counted(), update_every=every), []
    for step in range(7):
        x = data(4, seed=step)
        gradients, _ = backward(fork, x)
        weights.append(fork.weights[0].item())
        mixed = (torch.tensor([weights[-1], 1.0, 1.0], dtype=torch.float64) @ cotangents(3, x)).view(4, NARROW)
        trunk, _ = network(3)
        torch.testing.assert_close(gradients, list(torch.autograd.grad(trunk(x), list(trunk.parameters()), mixed)))
    assert weights == [1 + step // every for step in range(7)]
    assert fork.balancer.calls == -(-7 // every)


def test_between_updates_no_gramian_is_formed():
    fork = Fork(3, Counted(), update_every=3)
    gramians = []
    for step in range(4):
        backward(fork, data(4, seed=step))
        gramians.append(fork.gramian.clone())
    assert torch.equal(gramians[0], gramians[1])
    assert torch.equal(gramians[0], gramians[2])
    assert not torch.equal(gramians[0], gramians[3])


@pytest.mark.parametrize("done", [1, 2, 3, 4])
def test_the_state_resumes_within_a_cycle(done):
    one, other = (Fork(3, Counted(), update_every=3) for _ in range(2))
    for step in range(done):
        backward(one, data(4, seed=step))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for step in range(done, done + 5):
        left, right = (backward(fork, data(4, seed=step))[0] for fork in (one, other))
        assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
        assert torch.equal(one.weights, other.weights)
    assert one.balancer.calls == other.balancer.calls


@pytest.mark.parametrize("balancer", [None, GradDrop(), FromTorchJD(aggregator="Mean")])
def test_only_gramian_balancers_have_weights_to_keep(balancer):
    with pytest.raises(UserError, match="update_every 2: at least 1, and above 1 only with a Gramian balancer"):
        Fork(2, balancer, update_every=2)
    with pytest.raises(UserError, match="update_every 0: at least 1"):
        Fork(2, PCGrad(), update_every=0)


@pytest.mark.parametrize("tasks", [1, 2, 3, 8])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_measuring_changes_no_bit(tasks, dtype):
    x, measured = data(16, dtype=dtype), Fork(tasks).double()
    measured.measure = True
    trunk, towers = network(tasks, dtype=dtype)
    shared = trunk(x)
    sum(task_loss(i, tower(shared)) for i, tower in enumerate(towers)).backward()
    gradients, of_towers = backward(measured, x)
    assert all(torch.equal(one, p.grad) for one, p in zip(gradients, trunk.parameters(), strict=True))
    for tower, expected in zip(of_towers, towers, strict=True):
        assert all(torch.equal(one, p.grad) for one, p in zip(tower, expected.parameters(), strict=True))
    rows = cotangents(tasks, x).double()
    torch.testing.assert_close(measured.gramian, rows @ rows.T, rtol=1e-5 if dtype == torch.float32 else 1e-2, atol=0.5)
    if dtype == torch.float64:
        torch.testing.assert_close(measured.gramian, rows @ rows.T)
    assert measured.weights.tolist() == [1.0] * tasks


def test_measuring_sees_every_backward_between_updates_too():
    fork = Fork(3, Counted(), update_every=3).double()
    fork.measure = True
    for step in range(5):
        x = data(4, seed=step)
        backward(fork, x)
        rows = cotangents(3, x)
        torch.testing.assert_close(fork.gramian, rows @ rows.T)
        assert fork.weights[0] == 1 + step // 3
    assert fork.balancer.calls == 2


def test_a_missing_task_has_a_row_of_zeros_in_the_gramian():
    fork, shared = Fork(3), torch.ones(2, requires_grad=True)
    fork.measure = True
    copies = fork(shared)
    (copies[0].sum() + 2 * copies[2].sum()).backward()
    assert fork.gramian.tolist() == [[2.0, 0.0, 4.0], [0.0, 0.0, 0.0], [4.0, 0.0, 8.0]]
    assert shared.grad.tolist() == [3.0, 3.0]


def test_an_idle_fork_costs_nothing():
    fork, shared = Fork(3), torch.ones(2, requires_grad=True)
    assert all(copy is shared for copy in fork(shared))
    sum(copy.sum() for copy in fork(shared)).backward()
    assert not fork.gramian.any()
    assert fork.backwards == 0
    with torch.no_grad():
        assert all(copy is shared for copy in Fork(3, PCGrad())(shared))


@pytest.mark.parametrize(
    "build",
    [
        GradDrop,
        lambda: GradDrop(leak=0.5, seed=3),
        lambda: FromTorchJD(aggregator="AlignedMTL"),
        lambda: FromTorchJD(aggregator="TrimmedMean", arguments={"trim_number": 1}),
    ],
)
def test_a_jacobian_balancer_combines_the_stacked_gradients(build):
    fork, alone = Fork(4, build()).double(), build()
    for step in range(3):
        x = data(6, seed=step)
        gradients, _ = backward(fork, x)
        rows = cotangents(4, x)
        trunk, _ = network(4)
        expected = torch.autograd.grad(trunk(x), list(trunk.parameters()), alone(rows).view(6, NARROW))
        torch.testing.assert_close(gradients, list(expected))
        torch.testing.assert_close(fork.gramian, rows @ rows.T)
    assert fork.weights.tolist() == [1.0] * 4


class Told(JacobianBalancer):
    """Remembers what it was given."""

    def combine(self, jacobian: Tensor, active: Sequence[int]) -> Tensor:
        self.given = (jacobian.clone(), list(active))
        return jacobian.sum(0)


def test_a_jacobian_balancer_sees_active_tasks_alone():
    fork, shared = Fork(4, Told()), torch.ones(3, requires_grad=True)
    copies = fork(shared)
    (copies[0].sum() + 0.0 * copies[1].sum() + 2 * copies[3].sum()).backward()
    jacobian, active = fork.balancer.given
    assert active == [0, 3]
    assert jacobian.tolist() == [[1.0] * 3, [2.0] * 3]
    del fork.balancer.given
    (torch.nan * fork(shared)[0].sum()).backward()
    assert not hasattr(fork.balancer, "given")


PER_PARAMETER = [MoCo(3, 9), DBMTL(3, 9), ExcessMTL(3, 9)]


@pytest.mark.parametrize("balancer", PER_PARAMETER, ids=lambda balancer: type(balancer).__name__)
def test_state_per_parameter_does_not_fit_the_fork(balancer):
    name = type(balancer).__name__
    with pytest.raises(UserError, match=rf"{name} keeps state for each shared parameter.*use it at: parameters"):
        whole_network(lambda: balancer)
    with pytest.raises(UserError, match=rf"{name} keeps state for each shared parameter.*\(at: parameters\)"):
        Fork(3, balancer)(torch.ones(3, requires_grad=True))


@pytest.mark.parametrize(
    "balancer", [FromTorchJD(aggregator="Mean"), *PER_PARAMETER], ids=lambda balancer: type(balancer).__name__
)
def test_over_processes_only_elementwise_jacobian_balancers_fit(balancer):
    with pytest.raises(UserError, match=r"mixes coordinates that lie on several processes.*take a Gramian balancer"):
        Fork(3, balancer, process_group=object())
    assert Fork(3, GradDrop(), process_group=object()).process_group is not None
    assert Fork(3, PCGrad(), process_group=object()).process_group is not None


KPIS = [Binary(name="click"), Multiclass(name="kind", classes=3), Regression(name="dwell", reads=("click",))]


def whole_network(build, *, wrap=lambda trunk: trunk) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        embedding, sharing = Embedding([6, 5], [4, 3], 2), SharedBottom(9, [16, 8], layers=Layers(norm="layer"))
        sharing.trunk = wrap(sharing.trunk)
        return Network(embedding, sharing, Fork(3, build()), Towers(KPIS, 8, [6]))


def loss_of(model, n=12, *, dtype=torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    ids = torch.stack([torch.randint(0, rows, (n,), generator=generator) for rows in (6, 5)], 1)
    numbers = torch.randn(n, 2, generator=generator)
    labels = {"click": (ids[:, 1] % 2).float(), "kind": (ids[:, 0] % 3).float(), "dwell": 9 * numbers[:, 0]}
    raws = model(ids, numbers.to(dtype))
    return Sum(3)(*getattr(model, "_orig_mod", model).losses(raws, labels))


def gradients_of(model) -> list[Tensor]:
    return [parameter.grad for parameter in model.parameters()]


def test_bfloat16_autocast_weighs_nearly_as_float32():
    exact, half = whole_network(UPGrad), whole_network(UPGrad)
    loss_of(exact).backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(half)
    assert loss.dtype == torch.float32
    loss.backward()
    torch.testing.assert_close(half.fork.weights, exact.fork.weights, rtol=0.05, atol=0.05)
    assert not torch.equal(half.fork.weights, torch.ones(3))
    for one, other in zip(gradients_of(half), gradients_of(exact), strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() <= 0.05 * other.norm() + 1e-4


@pytest.mark.parametrize("build", [PCGrad, UPGrad, GradDrop])
@pytest.mark.parametrize("scale", [1024.0, 65536.0])
def test_a_gradient_scaler_changes_no_weight(build, scale):
    plain, scaled = whole_network(build), whole_network(build)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    optimizer = torch.optim.SGD(scaled.parameters(), lr=0.0)
    loss_of(plain).backward()
    scaler.scale(loss_of(scaled)).backward()
    torch.testing.assert_close(scaled.fork.gramian, plain.fork.gramian * scale**2)
    scaler.unscale_(optimizer)
    torch.testing.assert_close(scaled.fork.weights, plain.fork.weights, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients_of(scaled), gradients_of(plain), rtol=1e-4, atol=1e-6)


def test_a_scale_that_overflows_is_the_scalers_business():
    model, expected = whole_network(PCGrad), whole_network(PCGrad)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120, backoff_factor=2.0**-110)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    scaler.scale(1e5 * loss_of(model)).backward()
    scaler.step(optimizer)
    scaler.update()
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert model.fork.balancer.draws == 0
    optimizer.zero_grad()
    scaler.scale(loss_of(model)).backward()
    scaler.unscale_(optimizer)
    loss_of(expected).backward()
    torch.testing.assert_close(gradients_of(model), gradients_of(expected), rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, at any graph break
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("build", [PCGrad, lambda: None])
def test_a_compiled_network_has_the_same_gradients(backend, build):
    torch._dynamo.reset()
    plain, other = whole_network(build), whole_network(build)
    compiled = torch.compile(other, backend=backend)
    for _ in range(2):
        loss_of(plain).backward()
        loss_of(compiled).backward()
    torch.testing.assert_close(gradients_of(other), gradients_of(plain))
    assert torch.equal(other.fork.weights, plain.fork.weights)
    assert build() is None or not torch.equal(plain.fork.weights, torch.ones(3))


class Checkpointed(nn.Module):
    def __init__(self, inner: nn.Module, *, reentrant: bool) -> None:
        super().__init__()
        self.inner, self.reentrant, self.runs = inner, reentrant, 0
        inner.register_forward_pre_hook(self._count)

    def _count(self, *_: object) -> None:
        self.runs += 1

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.inner, x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_trunk_has_the_same_gradients(reentrant):
    plain = whole_network(PCGrad)
    other = whole_network(PCGrad, wrap=lambda trunk: Checkpointed(trunk, reentrant=reentrant))
    for _ in range(2):
        loss_of(plain).backward()
        loss_of(other).backward()
    assert other.sharing.trunk.runs == 4
    assert all(torch.equal(one, two) for one, two in zip(gradients_of(other), gradients_of(plain), strict=True))
    assert torch.equal(other.fork.weights, plain.fork.weights)


@pytest.mark.parametrize("balancer", [GradVac(3), MoCo(3, 5)])
def test_a_balancer_made_for_other_tasks_is_refused(balancer):
    with pytest.raises(UserError, match="was made for 3 tasks, the fork has 2 branches"):
        Fork(2, balancer)
    assert Fork(3, balancer).tasks == 3


def test_a_tensor_that_needs_no_gradient_has_no_say_in_the_weights():
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    shared = torch.ones(6, 3, requires_grad=True)
    fork = Fork(2, PCGrad())
    (a, h), (b, g) = fork.split(x, shared)
    assert not a.requires_grad
    gate = torch.ones(5, 3, requires_grad=True)
    ((a @ gate * h).sum() - (b @ gate * g).square().sum()).backward()
    rows = torch.stack([(x @ gate).flatten(), (-2 * (x @ gate).square()).flatten()]).detach()
    torch.testing.assert_close(fork.gramian, rows @ rows.T)
