"""STAR against the paper's formula, row by row."""

import pytest
import torch
from torch import Tensor, nn

from trunkline.balance import Equal
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.nn.inputs import FeatureSlice
from trunkline.nn.mlp import Layers
from trunkline.optim.param_groups import Subnets
from trunkline.sharing import STAR

WIDTH = 5
DOMAINS = 4
FEATURES = {"user": FeatureSlice(0, 9, 0, 2), "page": FeatureSlice(1, DOMAINS, 2, 1)}
each_norm = pytest.mark.parametrize("norm", ["none", "batch", "layer"])


def star(*, shaken: bool = True, **options) -> STAR:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sharing = STAR(WIDTH, FEATURES, **{"domain": "page", "hidden": [7, 4]} | options).double()
        if shaken:  # no two domains alike
            for parameter in sharing.parameters_by_subnet()["domain"]:
                parameter.data += 0.5 * torch.randn_like(parameter)
    return sharing


def batch(n: int, *, domains=range(DOMAINS)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, WIDTH, generator=generator, dtype=torch.float64)
    ids = torch.randint(0, 9, (n, 2), generator=generator)
    ids[:, 1] = torch.tensor(list(domains))[torch.randint(0, len(domains), (n,), generator=generator)]
    return x.requires_grad_(), ids


def by_a_loop(sharing: STAR, x: Tensor, ids: Tensor) -> Tensor:
    for layer in sharing.trunk:
        rows, own = [], layer.domain
        for row, d in zip(x, ids[:, 1].tolist(), strict=True):
            rows.append((layer.linear.weight * (1 + own["weight"][d])) @ row + layer.linear.bias + own["bias"][d])
        out = torch.stack(rows)
        if isinstance(layer.norm, nn.BatchNorm1d):
            alone = not sharing.training or len(out) == 1
            mean = layer.norm.running_mean if alone else out.mean(0)
            variance = layer.norm.running_var if alone else out.var(0, unbiased=False)
            normal = (out - mean) / (variance + layer.norm.eps).sqrt()
            rows = []
            for row, d in zip(normal, ids[:, 1].tolist(), strict=True):
                rows.append(layer.scale * (1 + own["scale"][d]) * row + layer.shift + own["shift"][d])
            out = torch.stack(rows)
        elif layer.norm is not None:
            out = layer.norm(out)
        x = torch.relu(out)
    return x


@each_norm
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("hidden", [[4], [7, 4, 6]], ids=str)
@pytest.mark.parametrize(
    ("n", "domains"), [(1, [2]), (6, [0]), (6, [1, 3]), (40, range(DOMAINS))], ids=["one", "missing", "two", "all"]
)
def test_it_is_the_papers_formula(norm, training, hidden, n, domains):
    sharing = star(hidden=hidden, layers=Layers(norm=norm)).train(training)
    x, ids = batch(n, domains=domains)
    expected = by_a_loop(sharing, x, ids)
    for balancer in (None, Equal()):
        found = sharing(x, Fork(2, balancer).split, ids)
        for branch in found:
            torch.testing.assert_close(branch, expected)
        sources = [x, *sharing.parameters()]
        gradients = [
            torch.autograd.grad(out.square().sum(), sources, retain_graph=True, allow_unused=True)
            for out in (found[0], expected)
        ]
        for source, one, other in zip(sources, *gradients, strict=True):
            zero = torch.zeros_like(source)
            torch.testing.assert_close(zero if one is None else one, zero if other is None else other)


@each_norm
@pytest.mark.parametrize("residual", [False, True])
def test_grouping_rows_is_the_same_as_giving_all_rows_to_all_domains(norm, residual, monkeypatch):
    x, ids = batch(40)
    found = []
    for compiling in (False, True):
        sharing = star(hidden=[WIDTH, WIDTH], layers=Layers(norm=norm, residual=residual))
        monkeypatch.setattr("torch.compiler.is_compiling", lambda compiling=compiling: compiling)
        (out,) = sharing.shared(x, ids)
        gradients = torch.autograd.grad(out.square().sum(), [x, *sharing.parameters()])
        found.append([out, *gradients])
    torch.testing.assert_close(*found)


def test_no_rows_give_no_rows():
    x, ids = batch(0)
    (out,) = star().shared(x, ids)
    assert out.shape == (0, 4)


def test_a_domains_rows_do_not_change_anothers():
    sharing, (x, ids) = star(), batch(40)
    (whole,) = sharing.shared(x, ids)
    for domain in range(DOMAINS):
        rows = ids[:, 1] == domain
        (alone,) = sharing.shared(x[rows], ids[rows])
        torch.testing.assert_close(whole[rows], alone)
    rows = ids[:, 1] == 3
    (gradient,) = torch.autograd.grad(whole[rows].square().sum(), [sharing.trunk[0].domain["weight"]])
    assert [bool(part.any()) for part in gradient] == [False, False, False, True]


def test_a_domain_that_the_batch_lacks_stands_still():
    sharing, (x, ids) = star(layers=Layers(norm="batch")), batch(20, domains=[0, 3])
    sharing.shared(x, ids)[0].square().sum().backward()
    for parameter in sharing.parameters_by_subnet()["domain"]:
        assert [bool(part.any()) for part in parameter.grad] == [True, False, False, True]


@each_norm
def test_at_first_every_domain_is_the_shared_trunk(norm):
    sharing, (x, ids) = star(shaken=False, layers=Layers(norm=norm)).eval(), batch(20)
    (out,) = sharing.shared(x, ids)
    for domain in range(DOMAINS):
        torch.testing.assert_close(sharing.shared(x, torch.full_like(ids, domain))[0], out)


def test_weight_decay_draws_a_domain_to_the_shared_trunk():
    sharing, (x, ids) = star(), batch(20)
    optimizer = torch.optim.SGD(sharing.parameters_by_subnet()["domain"], lr=1.0, weight_decay=1.0)
    for parameter in sharing.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(sharing.shared(x, ids)[0], star(shaken=False).shared(x, ids)[0])


def test_owners():
    sharing = star(layers=Layers(norm="batch"))
    subnets = Subnets([sharing], sharing.parameters_by_subnet())
    assert list(subnets) == ["shared", "domain"]
    assert all(len(parameter) == DOMAINS for parameter in subnets["domain"])
    assert (len(subnets["shared"]), len(subnets["domain"])) == (8, 8)


def test_compiled_and_exported_it_gives_the_same():
    class Trunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sharing = star(layers=Layers(norm="batch")).eval()

        def forward(self, x: Tensor, ids: Tensor) -> Tensor:
            return self.sharing.shared(x, ids)[0]

    trunk, rows = Trunk(), {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(trunk, tuple(batch(6)), dynamic_shapes=(rows, rows)).module()
    torch._dynamo.reset()
    compiled = torch.compile(trunk, backend="eager", fullgraph=True)
    for n in (1, 2, 6, 40):
        x, ids = batch(n)
        expected = trunk(x, ids)
        torch.testing.assert_close(program(x, ids), expected)
        torch.testing.assert_close(compiled(x, ids), expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"domain": "pagee"}, r"domain 'pagee': no categorical feature; did you mean 'page'\? \(known: user, page\)"),
        ({"features": {}}, r"domain 'page': no categorical feature \(known: none\)"),
        ({"hidden": []}, r"hidden \[\]: a trunk needs at least one layer"),
        ({"hidden": [4, 0]}, r"widths \[5, 4, 0\]: each must be at least 1"),
    ],
)
def test_impossible_arguments_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        STAR(**{"in_features": WIDTH, "features": FEATURES, "domain": "page", "hidden": [4]} | changes)


def test_rows_without_ids_are_refused():
    x, ids = batch(6)
    for given in (None, ids[:, :1]):
        with pytest.raises(UserError, match="the domain is in column 1"):
            star()(x, Fork(2).split, given)
