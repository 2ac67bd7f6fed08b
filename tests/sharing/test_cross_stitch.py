"""CrossStitch against the paper's formula, unit by unit."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.balance import Equal, PCGrad
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.optim.param_groups import Subnets
from trunkline.sharing import CrossStitch

WIDTH = 5
each_size = pytest.mark.parametrize(
    ("tasks", "hidden", "n"),
    [(1, [4], 1), (1, [7, 4], 6), (3, [4], 6), (2, [7, 4], 1), (3, [7, 4, 6], 5), (17, [3, 2], 4)],
)
each_kind = pytest.mark.parametrize("per_channel", [False, True], ids=["layers", "channels"])
each_fork = pytest.mark.parametrize("balancer", [None, Equal], ids=["together", "apart"])


def cross_stitch(tasks: int = 3, *, shaken: bool = True, **options) -> CrossStitch:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"hidden": [7, 4]} | options
        sharing = CrossStitch(WIDTH, [f"t{i}" for i in range(tasks)], **options).double()
        if shaken:  # no two weights alike
            for stitch in (*sharing.stitches, *sharing.gate):
                stitch.data += 0.3 * torch.randn_like(stitch)
    return sharing


def features(n: int) -> Tensor:
    x = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x.requires_grad_()


def trunks(sharing: CrossStitch) -> list[list[nn.Linear]]:
    return [[module for module in trunk.modules() if isinstance(module, nn.Linear)] for trunk in sharing.trunk]


def by_a_loop(sharing: CrossStitch, x: Tensor) -> list[Tensor]:
    linears = trunks(sharing)
    tasks, depth = len(linears), len(linears[0])
    inputs = [x] * tasks
    for layer in range(depth):
        outputs = [F.relu(inputs[t] @ linears[t][layer].weight.T + linears[t][layer].bias) for t in range(tasks)]
        inputs = []
        for t in range(tasks):
            row = sharing.stitches[layer][t] if layer + 1 < depth else sharing.gate[t]
            units = []
            for unit in range(outputs[0].shape[1]):
                alphas = row[:, unit] if row.dim() == 2 else row
                units.append(sum(alpha * output[:, unit] for alpha, output in zip(alphas, outputs, strict=True)))
            inputs.append(torch.stack(units, dim=1))
    return inputs


def objective(branches) -> Tensor:
    return sum((t + 1) * branch.square().sum() for t, branch in enumerate(branches))


@each_size
@each_kind
@each_fork
def test_it_is_the_papers_formula(tasks, hidden, n, per_channel, balancer):
    sharing, x = cross_stitch(tasks, hidden=hidden, per_channel=per_channel), features(n)
    found, expected = sharing(x, Fork(tasks, balancer and balancer()).split), by_a_loop(sharing, x)
    torch.testing.assert_close(list(found), expected)
    sources = [x, *sharing.parameters()]
    gradients = [torch.autograd.grad(objective(branches), sources) for branches in (found, expected)]
    torch.testing.assert_close(*gradients)


@each_kind
@each_fork
def test_who_keeps_everything_shares_nothing(per_channel, balancer):
    sharing, x = cross_stitch(shaken=False, keep=1.0, per_channel=per_channel), features(6)
    branches = sharing(x, Fork(3, balancer and balancer()).split)
    for trunk, branch in zip(trunks(sharing), branches, strict=True):
        expected = x
        for linear in trunk:
            expected = F.relu(linear(expected))
        torch.testing.assert_close(branch, expected)
    branches[1].sum().backward()
    for t, trunk in enumerate(sharing.trunk):
        assert any(parameter.grad.any() for parameter in trunk.parameters()) == (t == 1)


@each_kind
@pytest.mark.parametrize(
    ("tasks", "keep", "first"), [(1, 0.9, [1.0]), (2, 0.9, [0.9, 0.1]), (5, 0.6, [0.6, *[0.1] * 4])]
)
def test_stitches_start_as_asked(per_channel, tasks, keep, first):
    sharing = cross_stitch(tasks, shaken=False, keep=keep, per_channel=per_channel)
    for row in (sharing.stitches[0][0], sharing.gate[0]):
        for alphas in row.unbind(1) if per_channel else [row]:
            torch.testing.assert_close(alphas, torch.tensor(first).double())
    assert sharing.stitches[0].shape == ((tasks, tasks, 7) if per_channel else (tasks, tasks))
    assert [row.shape for row in sharing.gate] == [((tasks, 4) if per_channel else (tasks,))] * tasks


@pytest.mark.parametrize("hidden", [[4], [7, 4]], ids=str)
def test_owners(hidden):
    sharing = cross_stitch(2, hidden=hidden)
    subnets = Subnets([sharing], sharing.parameters_by_subnet())
    shared = ["shared"] if len(hidden) > 1 else []
    assert list(subnets) == [*shared, "trunk.t0", "trunk.t1", "gate.t0", "gate.t1"]
    assert len(subnets.get("shared", ())) == len(hidden) - 1
    assert all(subnets[f"gate.t{t}"] == (sharing.gate[t],) for t in range(2))


def test_balancing_weighs_trunks_and_stitches_and_leaves_the_last_row_alone():
    plain, balanced, x = cross_stitch(), cross_stitch(), features(6)
    fork = Fork(3, PCGrad())
    objective(balanced(x, fork.split)).backward()
    assert not torch.allclose(fork.weights, torch.ones(3), rtol=1e-3)
    branches = plain(x, Fork(3).split)
    weighted = sum(w * (t + 1) * b.square().sum() for t, (w, b) in enumerate(zip(fork.weights, branches, strict=True)))
    before = torch.autograd.grad(weighted, plain.shared_parameters(), retain_graph=True)
    torch.testing.assert_close([p.grad for p in balanced.shared_parameters()], list(before), rtol=1e-5, atol=1e-6)
    gates = torch.autograd.grad(objective(branches), list(plain.gate))
    torch.testing.assert_close([row.grad for row in balanced.gate], list(gates))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": []}, r"tasks \[\]: at least one, and each once"),
        ({"hidden": []}, r"hidden \[\]: a trunk needs at least one layer"),
        ({"hidden": [4, 0]}, r"widths \[5, 4, 0\]: each must be at least 1"),
        ({"keep": 1.5}, r"keep 1.5: it must be in \[0, 1\]"),
        ({"keep": float("nan")}, r"keep nan: it must be in \[0, 1\]"),
    ],
)
def test_impossible_arguments_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        CrossStitch(**{"in_features": WIDTH, "tasks": ["a", "b"], "hidden": [4]} | changes)


def test_a_fork_of_another_number_of_branches_is_refused():
    with pytest.raises(UserError, match="3 tasks need 3 branches, got 2"):
        cross_stitch()(features(2), Fork(2).split)
