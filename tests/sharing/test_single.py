"""Single against perceptrons that know nothing of one another."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.balance import Equal, PCGrad
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.nn.mlp import Layers
from trunkline.sharing import Single

WIDTH = 3


def single(tasks: int = 3, **options) -> Single:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"hidden": [7, 4]} | options
        return Single(tasks * WIDTH, [f"t{i}" for i in range(tasks)], **options).double()


def features(tasks: int, n: int) -> Tensor:
    x = torch.randn(n, tasks * WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x.requires_grad_()


def by_a_loop(sharing: Single, x: Tensor) -> list[Tensor]:
    outputs = []
    for t, trunk in enumerate(sharing.trunk):
        out = x[:, t * WIDTH : (t + 1) * WIDTH]
        for linear in (module for module in trunk.modules() if isinstance(module, nn.Linear)):
            out = F.relu(out @ linear.weight.T + linear.bias)
        outputs.append(out)
    return outputs


def objective(branches) -> Tensor:
    return sum((t + 1) * branch.square().sum() for t, branch in enumerate(branches))


@pytest.mark.parametrize("balancer", [None, Equal], ids=["together", "apart"])
@pytest.mark.parametrize(("tasks", "n"), [(1, 1), (1, 6), (2, 1), (3, 6), (17, 5)])
def test_each_task_reads_its_own_perceptron_of_its_own_slice(balancer, tasks, n):
    sharing, x = single(tasks), features(tasks, n)
    found, expected = sharing(x, Fork(tasks, balancer and balancer()).split), by_a_loop(sharing, x)
    torch.testing.assert_close(list(found), expected)
    sources = [x, *sharing.parameters()]
    gradients = [torch.autograd.grad(objective(branches), sources) for branches in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("balancer", [None, PCGrad], ids=["together", "apart"])
def test_a_tasks_loss_moves_nothing_of_another_task(balancer):
    for task in range(3):
        sharing, x = single(), features(3, 6)
        sharing(x, Fork(3, balancer and balancer()).split)[task].square().sum().backward()
        for other, trunk in enumerate(sharing.trunk):
            moved = [parameter.grad is not None and bool(parameter.grad.any()) for parameter in trunk.parameters()]
            assert all(moved) if other == task else not any(moved)
            assert bool(x.grad[:, other * WIDTH : (other + 1) * WIDTH].any()) == (other == task)


def test_no_balancer_changes_anything():
    gradients = []
    for fork in (Fork(3), Fork(3, PCGrad())):
        sharing, x = single(), features(3, 6)
        objective(sharing(x, fork.split)).backward()
        gradients.append([x.grad, *(parameter.grad for parameter in sharing.parameters())])
    torch.testing.assert_close(*gradients)


def test_it_says_that_embeddings_are_separate_and_that_nothing_is_shared():
    sharing = single()
    assert sharing.separate
    assert list(sharing.parameters_by_subnet()) == ["trunk.t0", "trunk.t1", "trunk.t2"]
    assert not sharing.shared_parameters()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": []}, r"tasks \[\]: at least one, and each once"),
        ({"tasks": ["a", "a"]}, r"tasks \['a', 'a'\]: at least one, and each once"),
        ({"in_features": 7}, "in_features 7: it must be 2 times the width of one embedding, one for each of a, b"),
        ({"hidden": [4, 0]}, "each must be at least 1"),
        ({"in_features": 0}, "each must be at least 1"),
    ],
)
def test_impossible_arguments_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        Single(**{"in_features": 6, "tasks": ["a", "b"], "layers": Layers()} | changes)


def test_a_fork_of_another_number_of_branches_is_refused():
    with pytest.raises(UserError, match="3 tasks need 3 branches, got 2"):
        single()(features(3, 2), Fork(2).split)
