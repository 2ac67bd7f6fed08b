"""MMoE against an explicit loop of nn.Linear experts and softmax gates that carry the same parameters."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trunkline.balance import Equal, FromTorchJD, PCGrad, Sum
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.nn.mlp import MLP, Layers
from trunkline.optim.param_groups import Subnets
from trunkline.sharing import MMoE
from trunkline.sharing.experts import Experts, StackedLinear
from trunkline.tasks import Binary, Regression
from trunkline.towers import Towers

WIDTH = 5
SIZES = [(1, 1, 1), (1, 3, 6), (2, 1, 6), (3, 4, 1), (3, 4, 9), (17, 5, 6)]
each_size = pytest.mark.parametrize(("tasks", "experts", "n"), SIZES)
each_shape = pytest.mark.parametrize("hidden", [[1], [4], [7, 4], [3, 6, 2]], ids=str)
each_fork = pytest.mark.parametrize("balancer", [None, Equal, lambda: Equal(rescale=False)], ids=["none", "equal", "1"])


def mmoe(tasks: int = 3, *, experts: int = 4, hidden=(7, 4), width: int = WIDTH, seed: int = 0, **layers) -> MMoE:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MMoE(
            width, [f"t{i}" for i in range(tasks)], experts=experts, hidden=hidden, layers=Layers(**layers)
        ).double()


def features(n: int, *, width: int = WIDTH, grad: bool = True) -> Tensor:
    x = torch.randn(n, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x.requires_grad_(grad)


def alone(experts: Experts, *, norm: str = "none") -> list[MLP]:
    """Each expert as a perceptron of its own that carries its parameters and statistics."""
    linears = [layer for layer in experts.layers if isinstance(layer, StackedLinear)]
    norms = [layer for layer in experts.layers if isinstance(layer, nn.BatchNorm1d | nn.GroupNorm)]
    count, width = linears[0].weight.shape[0], linears[0].weight.shape[2]
    found = []
    for e in range(count):
        mlp = MLP(width, [linear.weight.shape[1] for linear in linears], Layers(norm=norm)).double()
        own = [layer for layer in mlp.layers if isinstance(layer, nn.Linear)]
        for mine, theirs in zip(own, linears, strict=True):
            mine.weight.data, mine.bias.data = theirs.weight.data[e].clone(), theirs.bias.data[e].clone()
        own = [layer for layer in mlp.layers if isinstance(layer, nn.BatchNorm1d | nn.LayerNorm)]
        for mine, theirs in zip(own, norms, strict=True):
            for name, value in mine.state_dict().items():
                if value.dim():
                    value.copy_(theirs.state_dict()[name].chunk(count)[e])
        found.append(mlp)
    return found


def by_a_loop(sharing: MMoE, x: Tensor, experts: list[MLP], gates: list[nn.Linear]) -> list[Tensor]:
    mixtures = []
    for gate in gates:
        weights = functional.softmax(gate(x), dim=1)
        mixtures.append(sum(weights[:, e, None] * expert(x) for e, expert in enumerate(experts)))
    return mixtures


def gates_alone(sharing: MMoE) -> list[nn.Linear]:
    gates = []
    for theirs in sharing.gate:
        gate = nn.Linear(sharing.in_features, sharing.experts.count, bias=False).double()
        if theirs.weight is not None:
            gate.weight.data = theirs.weight.data.clone()
        gates.append(gate)
    return gates


def shares(sharing: MMoE, x: Tensor) -> Tensor:
    """`[T, N, E]`."""
    gates = sharing.gates(x, torch.empty(len(x), 0))
    return torch.stack([torch.stack(list(gate.values()), 1) for gate in gates.values()])


def objective(branches) -> Tensor:
    """No two tasks want the same."""
    return sum(((i - 1.5) * branch - 0.3 * i).square().sum() for i, branch in enumerate(branches))


def close(one, other) -> None:
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@each_size
@each_shape
@each_fork
def test_outputs_and_gradients_are_those_of_a_loop(tasks, experts, n, hidden, balancer):
    sharing = mmoe(tasks, experts=experts, hidden=hidden)
    x, other_x = features(n), features(n)
    fork = Fork(tasks, balancer and balancer())
    branches = sharing(x, fork.split)
    perceptrons, gates = alone(sharing.experts), gates_alone(sharing)
    expected = by_a_loop(sharing, other_x, perceptrons, gates)
    close(list(branches), expected)
    objective(branches).backward()
    objective(expected).backward()
    close(x.grad, other_x.grad)
    for mine, theirs in zip(sharing.gate, gates, strict=True):
        # One expert has the share 1: its gate has nothing to learn, and no weights.
        close(theirs.weight.grad if mine.weight is None else mine.weight.grad, theirs.weight.grad)
        assert (mine.weight is None) == (experts == 1)
    linears = [layer for layer in sharing.experts.layers if isinstance(layer, StackedLinear)]
    for e, perceptron in enumerate(perceptrons):
        own = [layer for layer in perceptron.layers if isinstance(layer, nn.Linear)]
        close([linear.weight.grad[e] for linear in linears], [linear.weight.grad for linear in own])
        close([linear.bias.grad[e] for linear in linears], [linear.bias.grad for linear in own])


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("n", [1, 8])
@each_shape
def test_each_expert_is_normalised_alone(norm, train, n, hidden):
    sharing = mmoe(norm=norm, hidden=hidden).train()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(2)
        for parameter in sharing.experts.parameters():
            parameter.add_(torch.rand(parameter.shape, generator=generator, dtype=torch.float64))
        sharing.experts(features(32))  # gives batch normalisation something to remember
    sharing.train(train)
    perceptrons = [mlp.train(train) for mlp in alone(sharing.experts, norm=norm)]
    x = features(n)
    close(sharing.experts(x), torch.stack([perceptron(x) for perceptron in perceptrons], dim=1))


@each_shape
def test_experts_start_as_layers_of_their_own_do(hidden):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        experts = Experts(WIDTH, hidden, 3)
        torch.manual_seed(0)
        for layer, (width, following) in zip(
            (layer for layer in experts.layers if isinstance(layer, StackedLinear)),
            zip([WIDTH, *hidden], hidden, strict=False),
            strict=True,
        ):
            for e in range(3):
                linear = nn.Linear(width, following)
                assert torch.equal(layer.weight[e], linear.weight)
                assert torch.equal(layer.bias[e], linear.bias)


def test_each_experts_weights_fill_the_bounds_of_their_fan_in():
    sharing = mmoe(width=429, experts=8, hidden=(256, 128))
    first, second = [layer for layer in sharing.experts.layers if isinstance(layer, StackedLinear)]
    for layer, fan_in in ((first, 429), (second, 256)):
        bound = 1 / math.sqrt(fan_in)
        for weight, bias in zip(layer.weight, layer.bias, strict=True):
            assert 0.99 * bound < weight.abs().max() <= bound
            assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
            assert 0.9 * bound < bias.abs().max() <= bound
    assert len({expert.sum().item() for expert in first.weight}) == 8
    assert all(0.99 / math.sqrt(429) < gate.weight.abs().max() <= 1 / math.sqrt(429) for gate in sharing.gate)


def test_experts_give_contiguous_rows():
    for hidden in ([4], [7, 4]):
        assert Experts(WIDTH, hidden, 3)(torch.ones(6, WIDTH)).is_contiguous()


@each_size
def test_gates_are_the_weights_of_the_mixture(tasks, experts, n):
    sharing, x = mmoe(tasks, experts=experts), features(n)
    found = shares(sharing, x)
    assert found.shape == (tasks, n, experts)
    close(found, torch.stack([functional.softmax(gate(x), dim=1) for gate in gates_alone(sharing)]))
    mixed = torch.einsum("tne,ned->tnd", found, sharing.experts(x))
    close(list(sharing(x, Fork(tasks, Equal()).split)), list(mixed))


def test_one_expert_is_a_shared_bottom():
    sharing, x = mmoe(experts=1), features(6)
    (expected,) = alone(sharing.experts)
    for branch in sharing(x, Fork(3, Equal()).split):
        close(branch, expected(x))


def test_dropout_acts_in_training_only():
    sharing, x = mmoe(dropout=0.5, hidden=(200, 200)), features(4)
    close(sharing.eval().experts(x), torch.stack([perceptron(x) for perceptron in alone(sharing.experts)], dim=1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dropped = sharing.train().experts(x)
    assert 0.6 < (dropped == 0).double().mean() < 0.9


def test_owners():
    sharing = mmoe(2)
    subnets = Subnets([sharing], sharing.parameters_by_subnet())
    assert list(subnets) == ["shared", "gate.t0", "gate.t1"]
    assert [parameter.shape for parameter in subnets["shared"]] == [(4, 7, 5), (4, 7), (4, 4, 7), (4, 4)]
    assert all([parameter.shape for parameter in subnets[f"gate.t{t}"]] == [(4, WIDTH)] for t in range(2))


def shared_rows(sharing: MMoE, x: Tensor) -> Tensor:
    """Each task's gradient `[T, ·]` with respect to features and experts' outputs, as leaves."""
    cut = [tensor.detach().requires_grad_() for tensor in (x, sharing.experts(x))]
    branches = by_a_loop(sharing, cut[0], [lambda _, e=e: cut[1][:, e] for e in range(4)], gates_alone(sharing))
    losses = [objective([torch.zeros(())] * i + [branch]) for i, branch in enumerate(branches)]
    rows = [torch.autograd.grad(loss, cut) for loss in losses]
    return torch.stack([torch.cat([piece.flatten() for piece in row]) for row in rows])


@pytest.mark.parametrize("n", [1, 6])
def test_the_fork_balances_features_and_experts_as_one_cut_and_leaves_the_gates_alone(n):
    sharing, x, plain_x = mmoe(), features(n), features(n)
    fork = Fork(3, PCGrad())
    objective(sharing(x, fork.split)).backward()
    rows = shared_rows(sharing, x.detach())
    gramian = rows @ rows.T
    weights = PCGrad()(gramian, range(3))
    torch.testing.assert_close(fork.gramian.double(), gramian, rtol=1e-6, atol=1e-6)  # kept in float32
    torch.testing.assert_close(fork.weights.double(), weights, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(weights, torch.ones(3).double(), rtol=1e-2)
    merged = (weights @ rows).split([x.numel(), n * 4 * 4])
    balanced = [x.grad, *(parameter.grad.clone() for parameter in sharing.experts.parameters())]
    gates = [gate.weight.grad.clone() for gate in sharing.gate]
    sharing.zero_grad()
    torch.autograd.backward([plain_x * 1, sharing.experts(plain_x)], [merged[0].view(n, -1), merged[1].view(n, 4, 4)])
    close(balanced, [plain_x.grad, *(parameter.grad for parameter in sharing.experts.parameters())])
    sharing.zero_grad()
    objective(sharing(features(n), Fork(3).split)).backward()
    close(gates, [gate.weight.grad for gate in sharing.gate])


def test_the_fork_takes_features_that_need_no_gradient():
    for balancer in (Equal, PCGrad):
        sharing, other = mmoe(), mmoe()
        objective(sharing(features(6, grad=False), Fork(3, balancer()).split)).backward()
        objective(other(features(6), Fork(3, balancer()).split)).backward()
        assert all(parameter.grad.isfinite().all() for parameter in sharing.parameters())
        for one, two in zip(sharing.gate, other.gate, strict=True):
            close(one.weight.grad, two.weight.grad)


TASKS = [Binary(name="click"), Regression(name="dwell", reads=("click",)), Binary(name="buy")]


def network(fork: Fork, *, at: str, rows=(9, 8), norm: str = "none") -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        embedding = Embedding(list(rows), [4] * len(rows), 2, scale=1.0)
        sharing = MMoE(
            embedding.out_features, [t.name for t in TASKS], experts=3, hidden=[7, 5], layers=Layers(norm=norm)
        )
        return Network(embedding, sharing, fork, Towers(TASKS, 5, [4]), at=at).double()


def batch(n: int, *, rows=(9, 8)):
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(0, min(count, 4), (n,), generator=generator) for count in rows]
    ids = torch.stack(columns, 1) if columns else torch.empty(n, 0, dtype=torch.int64)
    numbers = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    labels = {
        "click": (numbers[:, 0] > 0).double(),
        "dwell": 4 * numbers[:, 1] - 9 * (numbers[:, 0] > 0),
        "buy": (numbers[:, 1] > numbers[:, 0]).double(),
    }
    return ids, numbers, labels


@pytest.mark.parametrize("at", ["fork", "parameters"])
@pytest.mark.parametrize(
    "balancer", [PCGrad, Equal, lambda: FromTorchJD(aggregator="Mean")], ids=["pcgrad", "equal", "torchjd"]
)
@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("rows", [(9, 8), ()], ids=["tables", "numbers alone"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_network_trains_all_its_parameters(at, balancer, n, rows, norm):
    model = network(Fork(3, balancer()), at=at, rows=rows, norm=norm)
    ids, numbers, labels = batch(n, rows=rows)
    losses, active = model.losses(model(ids, numbers), labels)
    Sum(3)(losses, active).backward()
    assert list(Subnets([model], model.parameters_by_subnet()))[0 if not rows else 1 :] == [
        "shared",
        *(f"{part}.{task.name}" for part in ("gate", "tower") for task in TASKS),
    ]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    if n > 1:
        assert all(parameter.grad.any() for parameter in model.parameters())
    assert (model.fork.weights > 0).all()


@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("rows", [(9, 8), ()], ids=["tables", "numbers alone"])
def test_at_parameters_the_experts_and_tables_are_measured_exactly(n, rows):
    model, plain = network(Fork(3, PCGrad()), at="parameters", rows=rows), network(Fork(3), at="fork", rows=rows)
    ids, numbers, labels = batch(n, rows=rows)
    measured = [[*m.embedding.parameters(), *m.sharing.parameters_by_subnet()["shared"]] for m in (model, plain)]
    losses, _ = plain.losses(plain(ids, numbers), labels)
    jacobian = torch.stack(
        [
            torch.cat([piece.flatten() for piece in torch.autograd.grad(loss, measured[1], retain_graph=True)])
            for loss in losses
        ]
    )
    weights = PCGrad()(jacobian @ jacobian.T, range(3))
    model.losses(model(ids, numbers), labels)[0].sum().backward()
    close(torch.cat([parameter.grad.flatten() for parameter in measured[0]]), weights @ jacobian)
    losses.sum().backward()
    for one, other in zip(model.sharing.gate, plain.sharing.gate, strict=True):
        close(one.weight.grad, other.weight.grad)


def test_a_network_learns_tasks_that_pull_apart():
    """y₁ = |x₀| + x₁ and y₂ = |x₀| - x₁."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.randn(256, 2)
        tasks = [Regression(name="one"), Regression(name="two")]
        sharing = MMoE(2, ["one", "two"], experts=4, hidden=[16, 8])
        model = Network(Embedding([], [], 2), sharing, Fork(2, PCGrad()), Towers(tasks, 8, []))
    labels = {"one": x[:, 0].abs() + x[:, 1], "two": x[:, 0].abs() - x[:, 1]}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    ids, first = torch.empty(256, 0, dtype=torch.int64), None
    before = shares(sharing, x).detach()
    for _ in range(200):
        losses, active = model.losses(model(ids, x), labels)
        first = losses.detach() if first is None else first
        optimizer.zero_grad()
        Sum(2)(losses, active).backward()
        optimizer.step()
    assert (losses < 0.1 * first).all(), (first, losses)
    assert (shares(sharing, x) - before).abs().max() > 0.05


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, at any graph break
@pytest.mark.parametrize("balancer", [None, PCGrad], ids=["none", "pcgrad"])
def test_a_compiled_network_gives_the_same(balancer):
    torch._dynamo.reset()
    found = []
    for compiled in (False, True):
        sharing, x, fork = mmoe(), features(6), Fork(3, balancer and balancer())
        run = torch.compile(sharing, backend="eager") if compiled else sharing
        branches = run(x, fork.split)
        objective(branches).backward()
        found.append([*branches, x.grad, *(parameter.grad for parameter in sharing.parameters())])
    close(*found)


def test_half_precision_keeps_its_dtype_and_comes_close():
    sharing, x = mmoe().float(), features(6).detach().float()
    full = sharing(x, Fork(3, Equal()).split)
    for fork in (Fork(3), Fork(3, Equal())):
        with torch.autocast("cpu", torch.bfloat16):
            half = sharing(x, fork.split)
        assert all(branch.dtype == torch.bfloat16 for branch in half)
        for one, other in zip(half, full, strict=True):
            torch.testing.assert_close(one.float(), other, rtol=0.05, atol=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": []}, r"tasks \[\]: at least one, and each once"),
        ({"tasks": ["a", "b", "a"]}, r"tasks \['a', 'b', 'a'\]: at least one, and each once"),
        ({"experts": 0}, "experts 0: there must be at least 1"),
        ({"hidden": []}, r"hidden \[\]: an expert needs at least one layer"),
        ({"hidden": [4, 0]}, r"widths \[5, 4, 0\]: each must be at least 1"),
    ],
)
def test_impossible_arguments_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        MMoE(**{"in_features": WIDTH, "tasks": ["a", "b"], "experts": 2, "hidden": [4]} | changes)


def test_a_fork_of_another_number_of_branches_is_refused():
    with pytest.raises(UserError, match="3 tasks need 3 branches, got 2"):
        mmoe()(features(4), Fork(2, Equal()).split)


@each_shape
@pytest.mark.parametrize(("experts", "n"), [(1, 1), (4, 6)])
def test_experts_one_by_one_are_the_same_as_all_at_once(hidden, experts, n, monkeypatch):
    x, found = features(n), []
    for alone in (1, 10**9):
        monkeypatch.setattr("trunkline.sharing.experts.ALONE", alone)
        sharing = mmoe(experts=experts, hidden=hidden)
        out = sharing.experts(x)
        weights = torch.randn(out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        assert out.is_contiguous()
        gradients = torch.autograd.grad((out * weights).sum(), [x, *sharing.experts.parameters()])
        found.append([out, *gradients])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_experts_one_by_one_drop_out_like_all_at_once(monkeypatch):
    """As often, and never in evaluation."""
    monkeypatch.setattr("trunkline.sharing.experts.ALONE", 1)
    experts = mmoe(experts=2, hidden=[50], dropout=0.5).experts
    x = features(200)
    kept = experts.eval()(x)
    dropped = experts.train()(x)
    assert torch.equal(experts.eval()(x), kept)
    positive = kept > 0
    assert (dropped[positive] == 0).double().mean().item() == pytest.approx(0.5, abs=0.03)
    assert torch.allclose(dropped[dropped > 0], 2 * kept[dropped > 0])
