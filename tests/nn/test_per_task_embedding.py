"""Networks side by side: each learns as it would alone."""

from itertools import chain

import pytest
import torch

from trunkline import UserError, fit
from trunkline.balance import PCGrad, Sum
from trunkline.balance.fork import Fork
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.nn.inputs import ListFeature, Ragged
from trunkline.nn.interaction import CrossLayers
from trunkline.nn.mlp import Layers
from trunkline.nn.numeric_embedding import PiecewiseNumbers
from trunkline.nn.per_task_embedding import PerTaskEmbedding
from trunkline.optim.rowwise import RowAdagrad
from trunkline.sharing import Single
from trunkline.tasks import Binary, Multiclass, Regression
from trunkline.towers import Towers

TASKS = [Binary(name="click"), Regression(name="dwell"), Multiclass(name="topic", classes=3)]
NAMES = [task.name for task in TASKS]
ROWS, WIDTHS, NUMBERS = [7, 40, 5], [2, 3, 2], 2
LISTS = (ListFeature(rows=9, width=3, pool="mean"),)


def embedding(*, sparse_above=None):
    return Embedding(
        ROWS,
        WIDTHS,
        NUMBERS,
        lists=LISTS,
        quantiles=((-1.0, 0.0, 1.0), (-2.0, 0.0, 0.5, 2.0)),
        numeric=PiecewiseNumbers,
        interaction=lambda fields: CrossLayers(fields, layers=1),
        sparse_above=sparse_above,
    )


def networks(*, sparse_above=None, norm="none"):
    """The whole network, and one for each task with the same parameters, all float64."""
    torch.manual_seed(0)
    layers = Layers(activation="silu", norm=norm)
    apart = PerTaskEmbedding([embedding(sparse_above=sparse_above) for _ in TASKS], NAMES)
    whole = Network(
        apart,
        Single(apart.out_features, NAMES, hidden=[6, 4], layers=layers),
        Fork(len(TASKS)),
        Towers(TASKS, 4, [3], layers),
    ).double()
    alone = []
    for t, task in enumerate(TASKS):
        one = embedding(sparse_above=sparse_above)
        network = Network(
            PerTaskEmbedding([one], [task.name]),
            Single(one.out_features, [task.name], hidden=[6, 4], layers=layers),
            Fork(1),
            Towers([task], 4, [3], layers),
        ).double()
        for name, tensor in network.state_dict().items():
            if not name.startswith("fork."):
                theirs = name
                for module in ("embedding.embeddings", "sharing.trunk", "towers.subnets"):
                    theirs = theirs.replace(f"{module}.0.", f"{module}.{t}.")
                tensor.copy_(whole.state_dict()[theirs])
        alone.append(network)
    return whole, alone


def batch(n=12, *, seed=0):
    draw = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(0, rows, (n,), generator=draw) for rows in ROWS], dim=1)
    sizes = torch.randint(0, 4, (n,), generator=draw)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)])
    lists = [Ragged(torch.randint(0, 9, (int(offsets[-1]),), generator=draw), offsets)]
    numbers = torch.randn(n, NUMBERS, generator=draw, dtype=torch.float64)
    labels = {
        "click": (torch.rand(n, generator=draw) < 0.5).double(),
        "dwell": torch.randn(n, generator=draw, dtype=torch.float64),
        "topic": torch.randint(0, 3, (n,), generator=draw).double(),
    }
    labels["dwell"][::4] = torch.nan
    return (ids, numbers, lists), labels


def train(network, *, steps=5, found=False):
    dense = [p for p in network.parameters() if all(p is not q for q in network.embedding.row_sparse())]
    optimizers = [torch.optim.SGD(dense, lr=0.1, momentum=0.9)]
    if network.embedding.row_sparse():
        optimizers.append(RowAdagrad(network.embedding.row_sparse(), lr=0.05))
    merge = Sum(len(network.tasks))
    network.train()
    for step in range(steps):
        given, labels = batch(seed=step)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        known = network.plan_lookups(given[0], given[2]) if found else None
        merge(*network.losses(network(*given, known), labels)).backward()
        for optimizer in optimizers:
            optimizer.step()
    return network


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("sparse_above", [None, 0, 8], ids=["dense", "all sparse", "some sparse"])
@pytest.mark.parametrize("found", [False, True])
def test_every_task_learns_as_it_would_alone(norm, sparse_above, found):
    whole, alone = networks(sparse_above=sparse_above, norm=norm)
    start = {name: p.detach().clone() for name, p in whole.named_parameters()}
    train(whole, found=found)
    assert all(not p.equal(start[name]) for name, p in whole.named_parameters() if "embeddings.1.tables" in name)
    (ids, numbers, lists), _ = batch(50, seed=99)
    together = whole.eval()(ids, numbers, lists)
    for network in alone:
        (name,) = train(network, found=found).embedding.tasks
        close(together[name], network.eval()(ids, numbers, lists)[name])
        for subnet, parameters in network.parameters_by_subnet().items():
            for mine, theirs in zip(parameters, whole.parameters_by_subnet()[subnet], strict=True):
                close(mine, theirs)


def test_no_gradient_crosses_from_task_to_task():
    whole, _ = networks(sparse_above=8)
    given, labels = batch()
    losses, _ = whole.losses(whole(*given), labels)
    owners = whole.parameters_by_subnet()
    every = list(chain.from_iterable(owners.values()))
    for t, name in enumerate(NAMES):
        whole.zero_grad(set_to_none=True)
        losses[t].backward(retain_graph=True)
        reached = {
            subnet for subnet, ps in owners.items() for p in ps if p.grad is not None and p.grad.to_dense().any()
        }
        assert reached == {subnet for subnet in owners if subnet.endswith(f".{name}")}
    assert len(every) == len({id(p) for p in every}) == len(list(whole.parameters()))


def test_subnets_are_named_by_their_tasks():
    whole, _ = networks()
    parts = ("embedding", "numbers", "interaction", "trunk", "tower")
    assert set(whole.parameters_by_subnet()) == {f"{part}.{name}" for part in parts for name in NAMES} - {
        f"numbers.{name}" for name in NAMES if not list(whole.embedding.embeddings[0].numeric.parameters())
    }
    bare = PerTaskEmbedding([Embedding([3], [2], 1), Embedding([3], [2], 1)], ["a", "b"])
    assert set(bare.parameters_by_subnet()) == {"embedding.a", "embedding.b"}
    assert set(PerTaskEmbedding([Embedding([], [], 1)], ["a"]).parameters_by_subnet()) == set()


def test_the_output_is_each_embeddings_side_by_side():
    embeddings = [embedding(sparse_above=8) for _ in NAMES]
    apart = PerTaskEmbedding(embeddings, NAMES)
    (ids, numbers, lists), _ = batch()
    numbers = numbers.float()
    found = apart(ids, numbers, lists, apart.plan_lookups(ids, lists))
    assert found.shape == (12, apart.out_features)
    assert torch.equal(found, torch.cat([one(ids, numbers, lists) for one in embeddings], dim=1))
    assert [id(p) for p in apart.row_sparse()] == [id(p) for one in embeddings for p in one.row_sparse()]
    assert len(apart.row_sparse()) == len(NAMES)


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows(n):
    whole, _ = networks()
    (ids, numbers, lists), _ = batch(n) if n else batch(1)
    if not n:
        ids, numbers, lists = ids[:0], numbers[:0], [Ragged(torch.zeros(0, dtype=torch.int64), torch.zeros(1).long())]
    assert {name: len(raw) for name, raw in whole.eval()(ids, numbers, lists).items()} == dict.fromkeys(NAMES, n)


def test_as_many_embeddings_as_tasks():
    for embeddings, tasks in (([], []), ([Embedding([3], [2], 1)], ["a", "b"]), ([Embedding([3], [2], 1)], [])):
        with pytest.raises(UserError, match=f"{len(embeddings)} embeddings for {len(tasks)} tasks: one for each"):
            PerTaskEmbedding(embeddings, tasks)


class TestRefused:
    def parts(self):
        apart = PerTaskEmbedding([Embedding([3], [2], 1) for _ in range(2)], NAMES[:2])
        return apart, Single(6, NAMES[:2], hidden=[4]), Towers(TASKS[:2], 4, [])

    @pytest.mark.parametrize("at", ["fork", "parameters"])
    def test_gradients_have_nothing_to_balance(self, at):
        apart, sharing, towers = self.parts()
        with pytest.raises(UserError, match="Single shares nothing: there are no gradients to balance"):
            Network(apart, sharing, Fork(2, PCGrad()), towers, at=at)

    def test_a_shared_embedding_where_each_task_wants_its_own(self):
        _, sharing, towers = self.parts()
        with pytest.raises(UserError, match="Single wants an embedding for each task"):
            Network(Embedding([3], [5], 1), sharing, Fork(2), towers)

    def test_embeddings_apart_for_a_shared_trunk(self):
        from trunkline.sharing import SharedBottom

        apart, _, towers = self.parts()
        with pytest.raises(UserError, match="SharedBottom wants one embedding"):
            Network(apart, SharedBottom(6, [4]), Fork(2), towers)


@pytest.fixture
def single(settings):
    settings["network"]["sharing"] = {"kind": "single", "hidden": [8]}
    settings["balance"] = {"objective": "sum"}
    return settings


@pytest.mark.parametrize("at", ["fork", "parameters"])
def test_a_config_that_balances_gradients_of_nothing_shared(single, make_rows, at):
    with pytest.raises(UserError, match="Single shares nothing: there are no gradients to balance"):
        fit(single, train=make_rows(60), overrides={"balance.gradients": "pcgrad", "balance.at": at})


@pytest.mark.parametrize("sparse_above", [None, 0, 6])
def test_a_fit_alone_and_beside_others(single, make_rows, sparse_above):
    """Whole trainings: one task's rate and label are no business of another's."""
    single["network"]["embedding"] = {"sparse_above": sparse_above}
    for name in ("buy", "topic"):
        single["tasks"][name] = {"kind": single["tasks"][name]["kind"]}
    rows = {"train": make_rows(120), "valid": make_rows(60, seed=1)}
    overrides = {"network.dropout": 0.0}
    one = fit(single, **rows, overrides={**overrides, "optimizer.subnets": {"*.click": {"lr": 0.05}}})
    assert {"embedding.click", "trunk.click", "tower.click"} <= set(one.history[0]["lr"])
    assert one.history[0]["lr"]["embedding.click"] == 0.05
    other = fit(single, **rows, overrides=overrides)
    same = {name for name, scores in one.metrics["valid"].items() if scores == other.metrics["valid"][name]}
    assert same == {"dwell", "buy", "topic"}
    assert bool(one.network.embedding.row_sparse()) == (sparse_above is not None)
