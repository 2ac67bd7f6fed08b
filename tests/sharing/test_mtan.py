"""MTAN against the paper's formula, one task and one layer after another."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.balance import Equal, PCGrad
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.nn.mlp import Layers
from trunkline.optim.param_groups import Subnets
from trunkline.sharing import MTAN

WIDTH = 5


def mtan(tasks: int = 3, **options) -> MTAN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"hidden": [7, 4]} | options
        return MTAN(WIDTH, [f"t{i}" for i in range(tasks)], **options).double()


def features(n: int) -> Tensor:
    x = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x.requires_grad_()


def linears(module: nn.Module) -> list[nn.Linear]:
    return [part for part in module.modules() if isinstance(part, nn.Linear)]


def by_a_loop(sharing: MTAN, x: Tensor) -> list[Tensor]:
    shared = []
    for linear in linears(sharing.trunk):
        x = F.relu(x @ linear.weight.T + linear.bias)
        shared.append(x)
    outputs = []
    for attention in sharing.attention:
        attended = None
        for mask, p in zip(attention, shared, strict=True):
            g, h = linears(mask)
            read = p if attended is None else torch.cat([p, attended], dim=1)
            hidden = F.relu(read @ g.weight.T + g.bias)
            attended = p / (1 + torch.exp(-(hidden @ h.weight.T + h.bias)))
        outputs.append(attended)
    return outputs


def objective(branches) -> Tensor:
    return sum((t + 1) * branch.square().sum() for t, branch in enumerate(branches))


@pytest.mark.parametrize("balancer", [None, Equal], ids=["together", "apart"])
@pytest.mark.parametrize(
    ("tasks", "hidden", "n"),
    [(1, [4], 1), (1, [7, 4], 6), (3, [4], 6), (2, [7, 4], 1), (3, [7, 4, 6], 5), (17, [3, 2], 4)],
)
def test_it_is_the_papers_formula(tasks, hidden, n, balancer):
    sharing, x = mtan(tasks, hidden=hidden), features(n)
    found, expected = sharing(x, Fork(tasks, balancer and balancer()).split), by_a_loop(sharing, x)
    torch.testing.assert_close(list(found), expected)
    sources = [x, *sharing.parameters()]
    gradients = [torch.autograd.grad(objective(branches), sources) for branches in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_the_trunk_forks_at_all_its_layers():
    sharing, x = mtan(hidden=[7, 4, 6]), features(5)
    cut = sharing.shared(x, torch.empty(5, 0, dtype=torch.int64))
    assert [tensor.shape for tensor in cut] == [(5, 7), (5, 4), (5, 6)]
    fork = Fork(3, PCGrad())
    objective(sharing(x, fork.split)).backward()
    leaves = [tensor.detach().requires_grad_() for tensor in cut]
    losses = [(t + 1) * out.square().sum() for t, out in enumerate(sharing.per_task([leaves] * 3))]
    rows = torch.stack([torch.cat([g.flatten() for g in torch.autograd.grad(loss, leaves)]) for loss in losses])
    torch.testing.assert_close(fork.gramian.double(), rows @ rows.T, rtol=1e-5, atol=1e-6)


def test_masks_take_the_layers_norm_and_activation_only():
    sharing = mtan(hidden=[WIDTH, WIDTH], layers=Layers(norm="layer", activation="gelu", dropout=0.5, residual=True))
    parts = list(sharing.attention.modules())
    assert any(isinstance(part, nn.LayerNorm) for part in parts)
    assert any(isinstance(part, nn.GELU) for part in parts)
    assert not any(isinstance(part, nn.Dropout) for part in parts)
    assert any(isinstance(part, nn.Dropout) for part in sharing.trunk.modules())


def test_a_tasks_output_lies_between_nothing_and_the_last_layer():
    sharing, x = mtan(), features(6)
    *_, last = sharing.shared(x, torch.empty(6, 0, dtype=torch.int64))
    for branch in sharing(x, Fork(3).split):
        assert ((branch >= 0) & (branch <= last)).all()


def test_owners():
    sharing = mtan(2)
    assert list(Subnets([sharing], sharing.parameters_by_subnet())) == ["shared", "attention.t0", "attention.t1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": []}, r"tasks \[\]: at least one, and each once"),
        ({"hidden": []}, r"hidden \[\]: a trunk needs at least one layer"),
        ({"hidden": [4, 0]}, r"widths \[5, 4, 0\]: each must be at least 1"),
    ],
)
def test_impossible_arguments_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        MTAN(**{"in_features": WIDTH, "tasks": ["a", "b"], "hidden": [4]} | changes)


def test_a_fork_of_another_number_of_branches_is_refused():
    with pytest.raises(UserError, match="3 tasks need 3 branches, got 2"):
        mtan()(features(2), Fork(2).split)
