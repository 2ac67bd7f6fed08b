"""AITM against the paper's formulas, row by row along the chain."""

import math

import pytest
import torch
from torch import Tensor, nn

from trunkline.balance import Equal, PCGrad
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.nn.mlp import Layers
from trunkline.optim.param_groups import Subnets
from trunkline.sharing import AITM

WIDTH = 5
each_fork = pytest.mark.parametrize("balancer", [None, Equal], ids=["together", "apart"])


def aitm(tasks: int = 3, **options) -> AITM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"hidden": [7, 4]} | options
        return AITM(WIDTH, [f"t{i}" for i in range(tasks)], **options).double()


def features(n: int) -> Tensor:
    x = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x.requires_grad_()


def linears(module: nn.Module) -> list[nn.Linear]:
    return [part for part in module.modules() if isinstance(part, nn.Linear)]


def by_a_loop(sharing: AITM, x: Tensor, order: list[int]) -> list[Tensor]:
    outputs: dict[int, list[Tensor]] = {t: [] for t in order}
    for row in x:
        z = None
        for place, t in enumerate(order):
            p = row
            for linear in linears(sharing.trunk[t]):
                p = torch.relu(linear.weight @ p + linear.bias)
            if z is None:
                z = p
            else:
                g, value, key, query = linears(sharing.transfer[place - 1])
                q = torch.relu(g.weight @ z + g.bias)
                scores = [torch.dot(key(u), query(u)) / math.sqrt(len(u)) for u in (p, q)]
                total = sum(score.exp() for score in scores)
                z = sum(score.exp() / total * value(u) for score, u in zip(scores, (p, q), strict=True))
            outputs[t].append(z)
    return [torch.stack(outputs[t]) for t in range(len(order))]


def objective(branches) -> Tensor:
    return sum((t + 1) * branch.square().sum() for t, branch in enumerate(branches))


@each_fork
@pytest.mark.parametrize(
    ("order", "hidden", "n"),
    [([0], [4], 1), ([0], [7, 4], 6), ([0, 1], [4], 1), ([2, 0, 1], [7, 4], 6), ([*range(16, -1, -1)], [3], 4)],
    ids=["1-1", "1-6", "2-1", "3-6", "17-4"],
)
def test_it_is_the_papers_formula(order, hidden, n, balancer):
    tasks = len(order)
    sharing, x = aitm(tasks, hidden=hidden, chain=[f"t{t}" for t in order]), features(n)
    found, expected = sharing(x, Fork(tasks, balancer and balancer()).split), by_a_loop(sharing, x, order)
    torch.testing.assert_close(list(found), expected)
    sources = [x, *sharing.parameters()]
    gradients = [torch.autograd.grad(objective(branches), sources) for branches in (found, expected)]
    torch.testing.assert_close(*gradients)


@each_fork
def test_a_task_reaches_its_own_trunk_and_those_before_it_in_the_chain(balancer):
    chain = [2, 0, 1]
    for place, task in enumerate(chain):
        sharing = aitm(chain=[f"t{t}" for t in chain])
        sharing(features(6), Fork(3, balancer and balancer()).split)[task].square().sum().backward()
        for t, trunk in enumerate(sharing.trunk):
            moved = any(p.grad is not None and bool(p.grad.any()) for p in trunk.parameters())
            assert moved == (t in chain[: place + 1])


def test_what_a_later_task_sends_into_an_earlier_trunk_counts_as_the_later_tasks():
    sharing, n = aitm(), 6
    p = sharing.shared(features(n), torch.empty(n, 0, dtype=torch.int64))
    copies = [[tensor.detach().requires_grad_() for tensor in p] for _ in range(3)]
    outputs = sharing.per_task(copies)
    outputs[2].square().sum().backward(retain_graph=True)
    assert all(tensor.grad.abs().sum() > 0 for tensor in copies[2])
    assert not any(tensor.grad is not None and tensor.grad.any() for copy in copies[:2] for tensor in copy)
    outputs[0].square().sum().backward()
    assert [tensor.grad is not None and bool(tensor.grad.any()) for tensor in copies[0]] == [True, False, False]


def test_the_gramian_is_that_of_the_tasks_gradients_at_all_trunks():
    sharing, x, n = aitm(), features(6), 6
    fork = Fork(3, PCGrad())
    objective(sharing(x, fork.split)).backward()
    leaves = [p.detach().requires_grad_() for p in sharing.shared(x, torch.empty(n, 0, dtype=torch.int64))]
    rows = []
    for t, out in enumerate(sharing.per_task([leaves] * 3)):
        gradients = torch.autograd.grad((t + 1) * out.square().sum(), leaves, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([torch.zeros(n * 4) if g is None else g.flatten() for g in gradients]))
    rows = torch.stack(rows)
    torch.testing.assert_close(fork.gramian.double(), rows @ rows.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_the_chain_is_the_same_computed_once_or_for_each_task(training):
    """In training too: what is handed on has neither dropout nor statistics of the batch."""
    sharing = aitm(layers=Layers(norm="batch", dropout=0.5)).train(training)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        p = sharing.shared(features(6), torch.empty(6, 0, dtype=torch.int64))
    together = sharing.per_task([p] * 3)
    apart = sharing.per_task([[tensor.clone() for tensor in p] for _ in range(3)])
    torch.testing.assert_close(together, apart)


def test_owners():
    sharing = aitm(chain=["t1", "t2", "t0"])
    subnets = Subnets([sharing], sharing.parameters_by_subnet())
    assert list(subnets) == ["trunk.t0", "trunk.t1", "trunk.t2", "transfer.t2", "transfer.t0"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": []}, r"tasks \[\]: at least one, and each once"),
        ({"chain": ["a"]}, r"chain a: it must name every task once \(a, b\)"),
        ({"chain": ["a", "c"]}, r"chain a, c: it must name every task once \(a, b\)"),
        ({"chain": ["a", "b", "b"]}, r"chain a, b, b: it must name every task once \(a, b\)"),
        ({"hidden": [4, 0]}, "each must be at least 1"),
    ],
)
def test_impossible_arguments_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        AITM(**{"in_features": WIDTH, "tasks": ["a", "b"], "hidden": [4]} | changes)


def test_a_fork_of_another_number_of_branches_is_refused():
    with pytest.raises(UserError, match="3 tasks need 3 branches, got 2"):
        aitm()(features(2), Fork(2).split)
