"""Balancing over the shared parameters themselves, against the dense Jacobian by float64 autograd."""

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from trunkline.balance import DBMTL, Equal, ExcessMTL, FromTorchJD, GradDrop, GramianBalancer, MoCo, PCGrad, Sum, UPGrad
from trunkline.balance.fork import Fork
from trunkline.balance.parameter_fork import fork_at_parameters
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.nn.mlp import Layers
from trunkline.sharing import SharedBottom
from trunkline.tasks import Binary, Multiclass, Regression
from trunkline.towers import Towers

TASKS = [Binary(name="click"), Multiclass(name="kind", classes=3), Regression(name="dwell", reads=("click",))]
ROWS, WIDTHS = [40, 30, 4, 25], [4, 3, 4, 1]
"""Three tables, the first of which holds two features; most of their rows are in no batch."""
BALANCERS = {"equal": Equal, "pcgrad": PCGrad, "upgrad": UPGrad}
each_balancer = pytest.mark.parametrize("build", BALANCERS.values(), ids=BALANCERS.keys())


def network(
    build: Callable[[], nn.Module] = PCGrad,
    *,
    at: str = "parameters",
    rows: list[int] = ROWS,
    widths: list[int] = WIDTHS,
    hidden: tuple[int, ...] = (7, 5),
    sparse: bool = False,
    norm: str = "none",
    dropout: float = 0.0,
    tasks: list = TASKS,
    every: int = 1,
) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        embedding = Embedding(rows, widths, 2, scale=1.0, sparse_above=0 if sparse else None)
        sharing = SharedBottom(embedding.out_features, list(hidden), layers=Layers(norm=norm, dropout=dropout))
        towers = Towers(tasks, sharing.out_features, [4])
        fork = Fork(len(tasks), build(), update_every=every)
    return Network(embedding, sharing, fork, towers, at=at).double()


def batch(n: int = 16, *, rows: list[int] = ROWS, seed: int = 0, missing: tuple[str, ...] = ()):
    """Few ids, so that most are repeated."""
    generator = torch.Generator().manual_seed(seed)
    columns = [torch.randint(0, min(count, 4), (n,), generator=generator) for count in rows]
    ids = torch.stack(columns, 1) if columns else torch.empty(n, 0, dtype=torch.int64)
    numbers = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    labels = {
        "click": (numbers[:, 0] > 0).double(),
        "kind": torch.randint(0, 3, (n,), generator=generator).double(),
        "dwell": 4.0 * numbers[:, 1] - 9 * (numbers[:, 0] > 0),
    }
    for name in missing:
        labels[name][:] = torch.nan
    return ids, numbers, labels


def losses_of(model: Network, ids: Tensor, numbers: Tensor, labels: dict[str, Tensor]) -> Tensor:
    return model.losses(model(ids, numbers), labels)[0]


def shared_of(model: Network) -> list[nn.Parameter]:
    """Whole embedding tables, then the trunk: what all tasks share and what learns."""
    both = [*model.embedding.parameters(), *model.sharing.parameters_by_subnet()["shared"]]
    return [parameter for parameter in both if parameter.requires_grad]


def dense(model: Network, data, *, seed: int = 0) -> Tensor:
    """`[T, M]` by one plain backward a task, on a network that shares the values and balances nothing."""
    plain = Network(copy.deepcopy(model.embedding), copy.deepcopy(model.sharing), Fork(len(model.tasks)), model.towers)
    plain.train(model.training)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        losses = losses_of(plain, *data)
    rows = []
    for loss in losses:
        pieces = torch.autograd.grad(
            loss, shared_of(plain), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(torch.cat([(piece.to_dense() if piece.is_sparse else piece).flatten() for piece in pieces]))
    return torch.stack(rows)


def backward(model: Network, data, *, seed: int = 0) -> Tensor:
    """One ordinary backward of the sum; the shared gradient `[M]` that it leaves."""
    model.zero_grad(set_to_none=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        losses_of(model, *data).sum().backward()
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in shared_of(model)]
    return torch.cat([(g.to_dense() if g.is_sparse else g).flatten() for g in gradients])


def close(one: Tensor, other: Tensor, *, bound: float = 1e-12) -> None:
    error = (one - other).norm() / other.norm()
    assert one.shape == other.shape
    assert other.norm() > 0
    assert error <= bound, f"relative error {error:.2g}"


def assert_exact(model: Network, data, build: Callable[[], nn.Module]) -> Tensor:
    """Gramian, weights and gradient against the dense Jacobian; its weights."""
    jacobian = dense(model, data)
    found = backward(model, data)
    gramian = jacobian @ jacobian.T
    active = gramian.diagonal().nonzero().flatten()
    weights = torch.zeros(len(gramian), dtype=torch.float64)
    weights[active] = build()(gramian[active][:, active], active.tolist())
    close(model.fork.gramian, gramian)
    close(model.fork.weights, weights)
    close(found, weights @ jacobian)
    return weights


@each_balancer
@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("sparse", [False, True])
def test_gramian_and_gradient_are_exact(build, n, sparse):
    weights = assert_exact(network(build, sparse=sparse), batch(n), build)
    assert build is Equal or n == 1 or not torch.allclose(weights, torch.ones(3).double(), rtol=1e-2)


@each_balancer
@pytest.mark.parametrize(
    ("rows", "widths", "hidden"),
    [([], [], (7, 5)), ([9], [6], (5,)), ([9, 8], [6, 6], ()), (ROWS, WIDTHS, ())],
    ids=["no table", "one table", "no trunk", "tables alone"],
)
def test_parts_that_are_not_there(build, rows, widths, hidden):
    assert_exact(network(build, rows=rows, widths=widths, hidden=hidden), batch(rows=rows), build)


def test_it_is_not_the_gramian_at_the_fork():
    """Otherwise nothing here would show that the parameters are what is measured."""
    exact, approximate = network(PCGrad), network(PCGrad, at="fork")
    one, other = backward(exact, batch()), backward(approximate, batch())
    assert (one - other).norm() > 1e-3 * one.norm()
    assert not torch.allclose(exact.fork.gramian, approximate.fork.gramian, rtol=1e-2)


@each_balancer
@pytest.mark.parametrize("frozen", ["table", "tables", "layer", "trunk"])
def test_frozen_parameters_take_no_part(build, frozen):
    model = network(build)
    chosen = {
        "table": [model.embedding.in_order()[1]],
        "tables": list(model.embedding.parameters()),
        "layer": list(model.sharing.trunk.layers[0].parameters()),
        "trunk": list(model.sharing.parameters()),
    }[frozen]
    for parameter in chosen:
        parameter.requires_grad_(False)
    assert_exact(model, batch(), build)
    assert all(parameter.grad is None for parameter in chosen)


@each_balancer
@pytest.mark.parametrize("missing", [("click",), ("kind", "dwell"), ("click", "kind", "dwell")])
def test_tasks_without_a_label_are_inactive(build, missing):
    model, data = network(build), batch(missing=missing)
    if len(missing) == 3:
        assert not backward(model, data).any()
        assert model.fork.weights.tolist() == [0.0] * 3
        return
    weights = assert_exact(model, data, build)
    assert [weights[i] == 0 for i, task in enumerate(TASKS)] == [task.name in missing for task in TASKS]


@each_balancer
def test_one_task_keeps_its_gradient(build):
    model = network(build, tasks=TASKS[:1])
    assert_exact(model, batch(), build)
    close(backward(model, batch()), dense(model, batch())[0])
    assert model.fork.weights.tolist() == [1.0]


@each_balancer
@pytest.mark.parametrize(("norm", "dropout"), [("batch", 0.0), ("layer", 0.0), ("none", 0.5), ("batch", 0.3)], ids=str)
def test_trunks_with_a_state_of_their_own(build, norm, dropout):
    model = network(build, norm=norm, dropout=dropout)
    assert_exact(model, batch(), build)
    if norm == "batch":
        statistics = [b for name, b in model.sharing.named_buffers() if name.endswith("num_batches_tracked")]
        assert [int(count) for count in statistics] == [1, 1]


def test_eval_mode_is_as_exact():
    model = network(PCGrad, norm="batch", dropout=0.5)
    model.eval()
    assert_exact(model, batch(), PCGrad)
    statistics = [b for name, b in model.sharing.named_buffers() if name.endswith("num_batches_tracked")]
    assert [int(count) for count in statistics] == [0, 0]


def test_without_gradients_the_outputs_are_the_same_and_nothing_is_balanced():
    exact, plain = network(PCGrad, norm="batch"), network(PCGrad, norm="batch", at="fork")
    for mode in (True, False):
        exact.train(mode)
        plain.train(mode)
        with torch.no_grad():
            one, other = (model(*batch()[:2]) for model in (exact, plain))
        assert all(torch.equal(one[name], other[name]) and not one[name].requires_grad for name in one)
    assert exact.fork.backwards == 0
    outputs = exact(*batch()[:2]), plain(*batch()[:2])
    assert all(torch.equal(outputs[0][name], outputs[1][name]) for name in outputs[0])


@each_balancer
def test_towers_keep_their_own_gradients(build):
    model, plain = network(build), network(Equal, at="fork")
    backward(model, batch())
    backward(plain, batch())
    for one, other in zip(model.towers.parameters(), plain.towers.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("sparse", [False, True])
def test_tables_learn_through_the_rows_of_the_batch_alone(sparse):
    model, data = network(PCGrad, sparse=sparse), batch()
    backward(model, data)
    used = [found.rows for found in model.embedding.plan_lookups(data[0], every=True)]
    assert len(used) == 3
    for table, rows in zip(model.embedding.in_order(), used, strict=True):
        assert table.grad.is_sparse == sparse
        assert len(rows) < len(table)
        if sparse:
            assert torch.equal(table.grad._indices()[0].sort().values, rows)
        touched = (table.grad.to_dense() if sparse else table.grad).any(1)
        assert torch.equal(touched.nonzero().flatten(), rows)


def test_gradients_accumulate_batch_by_batch():
    model, parts = network(PCGrad), [batch(8, seed=1), batch(16, seed=2)]
    for part in parts:
        losses_of(model, *part).sum().backward()
    balancer, expected = PCGrad(), 0.0
    for part in parts:
        jacobian = dense(model, part)
        expected = expected + balancer(jacobian @ jacobian.T) @ jacobian
    close(torch.cat([p.grad.flatten() for p in shared_of(model)]), expected)


def test_the_same_graph_twice_is_balanced_twice():
    model, data = network(PCGrad), batch()
    jacobian, balancer = dense(model, data), PCGrad()
    loss = losses_of(model, *data).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    gramian = jacobian @ jacobian.T
    close(
        torch.cat([p.grad.flatten() for p in shared_of(model)]),
        balancer(gramian) @ jacobian + balancer(gramian) @ jacobian,
    )
    assert model.fork.balancer.draws == 2


@each_balancer
def test_between_updates_the_weights_of_the_last_serve(build):
    model, at_cut = network(build, every=3), network(Equal, at="fork")
    balancer = build()
    for step in range(7):
        data = batch(seed=step)
        jacobian = dense(model, data)
        if step % 3 == 0:
            weights = balancer(jacobian @ jacobian.T)
            gramian = jacobian @ jacobian.T
        found = backward(model, data)
        close(found, weights @ jacobian)
        close(model.fork.gramian, gramian)
        close(model.fork.weights, weights)
        at_cut.fork.balancer = Given(weights)
        close(found, backward(at_cut, data))


class Given(nn.Module):
    """Weights as they are."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.given = weights

    def forward(self, gramian: Tensor, active: list[int]) -> Tensor:
        return self.given[active]


@pytest.mark.parametrize("missing", [(), ("click",), ("click", "kind", "dwell")])
def test_between_updates_missing_tasks_do_no_harm(missing):
    model = network(PCGrad, every=2)
    backward(model, batch())
    weights, data = model.fork.weights.clone(), batch(seed=1, missing=missing)
    found, expected = backward(model, data), weights @ dense(model, data)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)
    assert model.fork.backwards == 2


def test_measuring_between_updates():
    model = network(PCGrad, every=3)
    model.fork.measure = True
    for step in range(3):
        data = batch(seed=step)
        jacobian = dense(model, data)
        found = backward(model, data)
        close(model.fork.gramian, jacobian @ jacobian.T)
        close(found, model.fork.weights @ jacobian)
    assert model.fork.balancer.draws == 1


def test_the_state_resumes_within_a_cycle():
    one, other = network(PCGrad, every=3), network(PCGrad, every=3)
    for step in range(4):
        backward(one, batch(seed=step))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for step in range(4, 9):
        assert torch.equal(backward(one, batch(seed=step)), backward(other, batch(seed=step)))


@pytest.mark.parametrize(
    "build", [GradDrop, lambda: FromTorchJD(aggregator="AlignedMTL"), lambda: FromTorchJD(aggregator="Mean")]
)
def test_jacobian_balancers_combine_the_dense_rows(build):
    """Over the rows that the batch touches: GradDrop draws a number for each of them."""
    model, data = network(build), batch()
    jacobian = dense(model, data)
    kept = jacobian.any(0)
    assert kept.sum() < 0.6 * len(kept)
    found = backward(model, data)
    if build is GradDrop:
        up, down = jacobian.clamp(min=0).sum(0), jacobian.clamp(max=0).sum(0)
        is_up, is_down = ((found - side).abs() < 1e-12 for side in (up, down))
        assert (is_up | is_down).all()
        assert (is_up & ~is_down).any()
        assert (is_down & ~is_up).any()
    else:
        close(found, build()(jacobian))


STATEFUL = {"moco": MoCo, "db_mtl": DBMTL, "excess_mtl": ExcessMTL}


def stateful(name: str, **changes: object) -> Network:
    shared = network(Equal, **changes).sharing.parameters_by_subnet()["shared"]
    return network(lambda: STATEFUL[name](3, sum(p.numel() for p in shared)), **changes)


@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.parametrize("rows", [[], ROWS])
def test_state_per_parameter_lies_on_the_trunk_and_tables_take_its_weights(name, rows):
    widths = WIDTHS[: len(rows)]
    model = stateful(name, rows=rows, widths=widths)
    alone = copy.deepcopy(model.fork.balancer)
    tables = sum(table.numel() for table in model.embedding.in_order())
    for step in range(4):
        data = batch(rows=rows, seed=step, missing=("kind",) if step == 2 else ())
        jacobian = dense(model, data)
        active = jacobian.any(1).nonzero().flatten().tolist()
        found = backward(model, data)
        combined = alone(jacobian[active][:, tables:], active)
        close(found[tables:], combined)
        if rows:
            close(found[:tables], alone.weights @ jacobian[:, :tables])
        close(model.fork.weights, alone.weights)
        close(model.fork.gramian, jacobian @ jacobian.T)


@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.parametrize("bad", [torch.inf, torch.nan, 1e200])
def test_a_broken_step_stays_out_of_the_state(name, bad):
    """As a gradient scaler meets it: the step is dropped, and the next one must find the averages sound."""
    model, expected = stateful(name), stateful(name)
    backward(model, batch())
    backward(expected, batch())
    before = copy.deepcopy(model.fork.balancer.state_dict())
    losses = losses_of(model, *batch(seed=1))
    (bad * losses.sum()).backward()
    state = model.fork.balancer.state_dict()
    assert all(torch.equal(state[key], before[key]) for key in state)
    assert model.fork.weights.tolist() == [1.0] * 3
    assert torch.equal(backward(model, batch(seed=2)), backward(expected, batch(seed=2)))


@pytest.mark.parametrize("name", STATEFUL)
def test_a_parameter_frozen_afterwards_is_refused(name):
    model = stateful(name)
    model.sharing.trunk.layers[0].bias.requires_grad_(False)
    with pytest.raises(UserError, match="count the shared parameters that need a gradient"):
        backward(model, batch())


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_a_broken_step_passes_as_the_plain_sum(bad):
    model = network(PCGrad)
    (bad * losses_of(model, *batch()).sum()).backward()
    assert model.fork.balancer.draws == 0
    assert model.fork.weights.tolist() == [1.0] * 3
    assert not model.sharing.trunk.layers[0].weight.grad.isfinite().all()


def test_bfloat16_autocast_is_close_and_gives_float32_gradients():
    exact, half = network(PCGrad).float(), network(PCGrad).float()
    ids, numbers, labels = batch()
    losses_of(exact, ids, numbers.float(), labels).sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = losses_of(half, ids, numbers.float(), labels)
    losses.sum().backward()
    torch.testing.assert_close(half.fork.weights, exact.fork.weights, rtol=0.1, atol=0.1)
    for one, other in zip(half.parameters(), exact.parameters(), strict=True):
        assert one.grad.dtype == torch.float32
        assert (one.grad - other.grad).norm() <= 0.1 * other.grad.norm() + 1e-3


@pytest.mark.parametrize("scale", [1024.0, 65536.0])
def test_a_gradient_scaler_changes_no_weight(scale):
    plain, scaled = network(PCGrad).float(), network(PCGrad).float()
    ids, numbers, labels = batch()
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    losses_of(plain, ids, numbers.float(), labels).sum().backward()
    scaler.scale(losses_of(scaled, ids, numbers.float(), labels).sum()).backward()
    scaler.unscale_(torch.optim.SGD(scaled.parameters(), lr=0.0))
    torch.testing.assert_close(scaled.fork.weights, plain.fork.weights)
    torch.testing.assert_close(
        [p.grad for p in scaled.parameters()], [p.grad for p in plain.parameters()], rtol=1e-4, atol=1e-6
    )


class Asked(GramianBalancer):
    """Keeps the Gramian as it came."""

    def forward(self, gramian: Tensor, active: Sequence[int] | None = None) -> Tensor:
        self.asked = gramian
        return torch.ones(len(gramian), dtype=gramian.dtype)

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        raise NotImplementedError


def test_the_gramian_of_a_trunk_of_half_precision_is_formed_in_float32():
    linear, leaf = nn.Linear(64, 64).bfloat16(), torch.ones(2, 64, dtype=torch.bfloat16, requires_grad=True)
    fork = Fork(2, Asked())
    copies = fork_at_parameters(fork, lambda x: (linear(x).float(),), [leaf], list(linear.parameters()))
    (copies[0][0].sum() + 3 * copies[1][0].sum()).backward()
    assert linear.weight.grad.dtype == torch.bfloat16
    assert fork.balancer.asked.dtype == torch.float32
    column = linear.weight.detach().float().sum(0).bfloat16().float()
    # Every weight has gradient 2, every bias 2, and each of the two rows of the leaf the columns' sums.
    own = 4 * 64 * 64 + 4 * 64 + 2 * column.square().sum().item()
    torch.testing.assert_close(fork.gramian, own * torch.tensor([[1.0, 3.0], [3.0, 9.0]]), rtol=1e-3, atol=0)


def test_several_tensors_of_a_cut_some_of_which_learn_nothing():
    layer, constant, fork = nn.Linear(3, 2).double(), torch.ones(4, 5).double(), Fork(2, Equal()).double()
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second = fork_at_parameters(fork, lambda: (layer(x), constant), [], list(layer.parameters()))
    tower = nn.Linear(5, 1).double()
    # The second task reads the constant alone: nothing shared learns from it.
    (first[0].square().sum() + tower(second[1]).sum()).backward()
    expected = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
    torch.testing.assert_close([p.grad for p in layer.parameters()], list(expected))
    assert fork.weights.tolist() == [1.0, 0.0]
    assert fork.gramian[1, 1] == 0


def test_impossible_uses_are_refused():
    fork, layer = Fork(2, Equal()), nn.Linear(3, 2)
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(UserError, match="at: parameters has nothing to balance: no shared parameter needs a gradient"):
        fork_at_parameters(fork, lambda x: (layer(x),), [torch.ones(4, 3)], list(layer.parameters()))
    leaf = torch.ones(4, 3, requires_grad=True)
    together = Fork(2, Equal(), process_group=object())
    with pytest.raises(UserError, match="several processes needs the `rows` that each leaf holds"):
        fork_at_parameters(together, lambda x: (layer(x),), [leaf], [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"build": lambda: None}, "at: parameters needs a method that balances gradients"),
        ({"rows": [], "widths": [], "hidden": ()}, "at: parameters has nothing to balance: the tasks share no"),
        ({"at": "towers"}, "at 'towers': it is one of fork, parameters"),
    ],
)
def test_impossible_networks_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        network(**changes)


def test_the_loss_of_a_small_problem_falls():
    model, data = network(UPGrad, sparse=True), batch(64)
    tables = torch.optim.SparseAdam(list(model.embedding.parameters()), lr=0.02)
    others = torch.optim.Adam([p for n, p in model.named_parameters() if not n.startswith("embedding")], lr=0.02)
    first = losses_of(model, *data).detach()
    for _ in range(150):
        model.zero_grad()
        Sum(3)(losses_of(model, *data)).backward()
        tables.step()
        others.step()
    assert (losses_of(model, *data) < 0.7 * first).all()
