"""PEPNet against the paper's formulas, one task and one layer after another."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.balance import Equal, PCGrad
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.nn.inputs import FeatureSlice
from trunkline.optim.param_groups import Subnets
from trunkline.sharing import PEPNet

WIDTH = 6
FEATURES = {"user": FeatureSlice(0, 9, 3, 2), "item": FeatureSlice(1, 5, 0, 2), "page": FeatureSlice(2, 4, 2, 1)}
each_fork = pytest.mark.parametrize("balancer", [None, Equal], ids=["together", "apart"])


def pepnet(tasks: int = 3, *, shaken: bool = True, **options) -> PEPNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"prior": ["user", "page"], "hidden": [7, 4]} | options
        sharing = PEPNet(WIDTH, [f"t{i}" for i in range(tasks)], FEATURES, **options).double()
        if shaken:  # gates that do something
            for parameter in sharing.parameters():
                parameter.data += 0.5 * torch.randn_like(parameter)
    return sharing


def features(n: int) -> Tensor:
    x = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x.requires_grad_()


def linears(module: nn.Module) -> list[nn.Linear]:
    return [part for part in module.modules() if isinstance(part, nn.Linear)]


def unit(gate: nn.Module, prior: Tensor, values: Tensor) -> Tensor:
    first, second = linears(gate)
    hidden = F.relu(torch.cat([prior, values.detach()], dim=1) @ first.weight.T + first.bias)
    return 2 / (1 + torch.exp(-(hidden @ second.weight.T + second.bias)))


def by_a_loop(sharing: PEPNet, x: Tensor) -> list[Tensor]:
    prior = torch.stack([x[:, 3], x[:, 4], x[:, 2]], dim=1)
    scaled = unit(sharing.scale, prior, x) * x
    outputs = []
    for trunk, gate in zip(sharing.trunk, sharing.gate, strict=True):
        scales, out, at = unit(gate, prior, scaled), scaled, 0
        for linear in linears(trunk):
            width = linear.out_features
            out = F.relu(out @ linear.weight.T + linear.bias) * scales[:, at : at + width]
            at += width
        outputs.append(out)
    return outputs


def objective(branches) -> Tensor:
    return sum((t + 1) * branch.square().sum() for t, branch in enumerate(branches))


@each_fork
@pytest.mark.parametrize(
    ("tasks", "hidden", "n"),
    [(1, [4], 1), (1, [7, 4], 6), (3, [4], 6), (2, [7, 4], 1), (3, [7, 4, 6], 5), (17, [3, 2], 4)],
)
def test_it_is_the_papers_formula(tasks, hidden, n, balancer):
    sharing, x = pepnet(tasks, hidden=hidden), features(n)
    found, expected = sharing(x, Fork(tasks, balancer and balancer()).split), by_a_loop(sharing, x)
    torch.testing.assert_close(list(found), expected)
    sources = [x, *sharing.parameters()]
    gradients = [torch.autograd.grad(objective(branches), sources) for branches in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_gates_start_close_to_one():
    sharing, x = pepnet(shaken=False, hidden=[32, 16]), features(50)
    prior = x[:, [3, 4, 2]]
    for gate in (sharing.scale, *sharing.gate):
        scales = gate(prior, x)
        assert (scales - 1).abs().max() < 0.1
        assert scales.std() > 0


def test_gates_send_no_gradient_back_into_what_they_scale():
    sharing, x = pepnet(), features(6)
    for gate in (sharing.scale, *sharing.gate):
        prior = x[:, [3, 4, 2]].detach().requires_grad_()
        values = x.detach().requires_grad_()
        scales = gate(prior, values).square().sum()
        through_prior, through_values = torch.autograd.grad(scales, [prior, values], allow_unused=True)
        assert through_prior.any()
        assert through_values is None


def test_the_trunk_forks_at_the_scaled_features_and_the_prior():
    sharing, x = pepnet(), features(6)
    scaled, prior = sharing.shared(x, torch.empty(6, 0, dtype=torch.int64))
    assert scaled.shape == x.shape
    assert torch.equal(prior, x[:, [3, 4, 2]])
    fork = Fork(3, PCGrad())
    objective(sharing(x, fork.split)).backward()
    leaves = [tensor.detach().requires_grad_() for tensor in (scaled, prior)]
    losses = [(t + 1) * out.square().sum() for t, out in enumerate(sharing.per_task([leaves] * 3))]
    rows = torch.stack([torch.cat([g.flatten() for g in torch.autograd.grad(loss, leaves)]) for loss in losses])
    torch.testing.assert_close(fork.gramian.double(), rows @ rows.T, rtol=1e-5, atol=1e-6)


def test_the_prior_is_no_part_of_the_state_and_follows_the_features():
    sharing = pepnet()
    assert "prior" not in sharing.state_dict()
    assert "prior" in dict(sharing.named_buffers())


def test_owners():
    sharing = pepnet(2)
    assert list(Subnets([sharing], sharing.parameters_by_subnet())) == [
        "shared",
        "trunk.t0",
        "trunk.t1",
        "gate.t0",
        "gate.t1",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": []}, r"tasks \[\]: at least one, and each once"),
        ({"prior": []}, r"prior: name at least one categorical feature \(known: user, item, page\)"),
        ({"prior": ["user", "user"]}, "prior user, user: each once"),
        ({"prior": ["usr"]}, r"prior 'usr': no categorical feature; did you mean 'user'\? \(known: user, item, page\)"),
        ({"features": {}}, r"prior 'user': no categorical feature \(known: none\)"),
        ({"hidden": []}, r"hidden \[\]: a trunk needs at least one layer"),
        ({"hidden": [4, 0]}, r"widths \[6, 4, 0\]: each must be at least 1"),
        ({"gate_hidden": 0}, "each must be at least 1"),
    ],
)
def test_impossible_arguments_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        PEPNet(
            **{"in_features": WIDTH, "tasks": ["a", "b"], "features": FEATURES, "prior": ["user"], "hidden": [4]}
            | changes
        )


def test_all_unknown_features_are_named_at_once():
    with pytest.raises(UserError) as error:
        PEPNet(WIDTH, ["a"], FEATURES, prior=["usr", "shop"])
    assert len(error.value.problems) == 2


def test_a_fork_of_another_number_of_branches_is_refused():
    with pytest.raises(UserError, match="3 tasks need 3 branches, got 2"):
        pepnet()(features(2), Fork(2).split)
