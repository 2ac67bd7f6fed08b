"""Subnets with a rate of 0 stay as they are, to the bit."""

import pytest
import torch

from trunkline import UserError, fit
from trunkline.balance import PCGrad
from trunkline.balance.fork import Fork
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.nn.inputs import FeatureSlice
from trunkline.nn.mlp import Layers
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tasks import Binary, Regression
from trunkline.towers import Towers
from trunkline.training.freeze import freeze, learning, train_mode

NAMES = ["click", "buy", "dwell"]
TASKS = [Binary(name="click"), Binary(name="buy"), Regression(name="dwell")]


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(160, seed=0), "valid": make_rows(60, seed=1)}


@pytest.fixture
def watched(settings, parts):
    """A fit: the model, its loop, each parameter's subnet, and the names of all that moved."""

    def watched(**overrides):
        seen = {}

        def start(loop):
            seen["loop"] = loop
            seen["before"] = {name: tensor.clone() for name, tensor in loop.network.state_dict().items()}

        settings["network"] |= {"norm": "batch"}
        model = fit(settings, **parts, overrides={"training.log_every": 1, **overrides}, on_start=start)
        network = seen["loop"].network
        owners = {
            name: subnet
            for subnet, parameters in network.parameters_by_subnet().items()
            for name, parameter in network.named_parameters()
            if any(parameter is p for p in parameters)
        }
        after = network.state_dict()
        moved = {name for name, tensor in after.items() if not tensor.equal(seen["before"][name])}
        return model, seen["loop"], owners, moved

    return watched


def rates(*subnets):
    return {"optimizer.subnets": {subnet: {"lr": 0} for subnet in subnets}}


def test_what_is_frozen_whole_cannot_be_balanced_at_its_parameters(watched):
    with pytest.raises(UserError, match="nothing to balance: no shared parameter needs a gradient"):
        watched(**rates("embedding", "shared"), **{"balance.gradients": "pcgrad", "balance.at": "parameters"})


@pytest.mark.parametrize("at", ["none", "fork", "parameters"])
@pytest.mark.parametrize(
    "frozen",
    [
        ("shared",),
        ("embedding",),
        ("tower.click",),
        ("embedding", "shared"),
        ("embedding", "shared", "tower.click", "tower.topic"),
    ],
    ids=",".join,
)
def test_a_rate_of_0_keeps_parameters_and_statistics_to_the_bit(watched, frozen, at):
    if at == "parameters" and {"embedding", "shared"} <= set(frozen):
        at = "fork"
    balance = {} if at == "none" else {"balance.gradients": "pcgrad", "balance.at": at}
    _, loop, owners, moved = watched(**rates(*frozen), **balance, **{"optimizer.weight_decay": 0.1})
    still = {name for name, subnet in owners.items() if subnet in frozen}
    assert still
    assert not still & moved
    assert moved >= {name for name, subnet in owners.items() if subnet not in frozen and subnet != "balance"}
    statistics = {name.rsplit(".", 1)[0] for name in moved if "running" in name or "tracked" in name}
    assert statistics == {
        name.rsplit(".", 1)[0]
        for name in loop.network.state_dict()
        if "running" in name and owners[name.rsplit(".", 1)[0] + ".weight"] not in frozen
    }
    for name, parameter in loop.network.named_parameters():
        assert parameter.requires_grad == (name not in still)
        assert (parameter.grad is None) == (name in still)


def test_row_sparse_tables_can_be_frozen(watched):
    _, _, owners, moved = watched(**rates("embedding"), **{"network.embedding.sparse_above": 0})
    assert not {name for name in moved if owners.get(name) == "embedding"}


@pytest.mark.parametrize("objective", ["sum", "uncertainty", "famo", "geometric", "gradnorm", "dwa"])
@pytest.mark.parametrize("gradients", ["none", "pcgrad"])
def test_everything_at_0_still_works(watched, objective, gradients):
    model, _, owners, moved = watched(
        **{
            "optimizer.lr": 0.0,
            "optimizer.subnets": {"*": {"lr": 0.0}},
            "balance.objective": objective,
            "balance.gradients": gradients,
        }
    )
    assert not moved & {name for name, subnet in owners.items() if subnet != "balance"}
    assert model.metrics["epochs"] == 2
    assert model.metrics["valid"]["click"]["auc"] is not None


def test_a_frozen_tower_takes_its_task_out_only_where_nothing_else_learns_from_it(watched):
    _, loop, _, _ = watched(**rates("tower.click"))
    assert loop.learning.tolist() == [True] * 4  # the trunk does
    model, loop, _, _ = watched(**rates("embedding", "shared", "tower.click"))
    # `topic` reads click and lets its gradient through, but that stops at a frozen tower
    assert loop.learning.tolist() == [False, True, True, True]
    steps = [line for line in model.history if "losses" in line]
    assert all(line["losses"]["click"] is None and line["weights"]["click"] == 0 for line in steps)
    assert all(line["losses"]["topic"] is not None for line in steps)
    assert model.metrics["valid"]["click"]["auc"] is not None


def made(kind, *, tasks=TASKS, **options):
    architecture = ARCHITECTURES[kind]
    names = [task.name for task in tasks]
    place = {"page": FeatureSlice(column=0, rows=3, start=0, width=2)}
    needs = {"star": {"domain": "page"}, "pepnet": {"prior": ["page"]}, "dselect_k": {"experts": 2, "k": 1}}
    sharing = ARCHITECTURES.make(
        kind,
        {"hidden": [[4]] if kind == "ple" else [4], **needs.get(kind, {}), **options},
        in_features=5 * len(tasks) if architecture.separate else 5,
        tasks=names,
        features=place,
        layers=Layers(norm="batch", activation="gelu"),  # no unit is dead by chance
    )
    embedding = Embedding([3], [2], 3)
    if architecture.separate:
        from trunkline.nn.per_task_embedding import PerTaskEmbedding

        embedding = PerTaskEmbedding([Embedding([3], [2], 3) for _ in tasks], names)
    return Network(embedding, sharing, Fork(len(tasks)), Towers(tasks, sharing.out_features, []))


def only(network, *subnets):
    """Everything frozen but these."""
    for name, parameters in network.parameters_by_subnet().items():
        for parameter in parameters:
            parameter.requires_grad_(name in subnets)
    return learning(network).tolist()


def teaches(network, task):
    """Whether the task's loss sends a gradient to anything that can take it."""
    ids, numbers = torch.arange(6)[:, None] % 3, torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    raw = network.eval()(ids, numbers)[task]
    if not raw.requires_grad:  # nothing learns
        return False
    wanted = [p for p in network.parameters() if p.requires_grad]
    found = torch.autograd.grad(raw.sum(), wanted, allow_unused=True)
    return any(grad is not None and bool(grad.any()) for grad in found)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_task_takes_part_where_its_loss_teaches_something(kind):
    """For each subnet that alone may learn: who learns is who has a gradient for it."""
    network = made(kind)
    assert learning(network).tolist() == [True] * 3
    for subnet in network.parameters_by_subnet():
        assert only(network, subnet) == [teaches(network, name) for name in NAMES], subnet
    assert only(network) == [False] * 3


def test_shared_trunks_teach_all_and_towers_one():
    network = made("shared_bottom")
    assert only(network, "shared") == [True] * 3
    assert only(network, "embedding") == [True] * 3
    assert only(network, "tower.buy") == [False, True, False]
    stitched = made("cross_stitch", hidden=[4, 4])
    assert only(stitched, "trunk.click") == [True] * 3  # its layers enter the other trunks
    chain = made("aitm", chain=NAMES)
    assert only(chain, "trunk.click") == [True] * 3
    assert only(chain, "transfer.buy", "tower.click") == [True, True, True]  # it hands on to dwell
    assert only(made("single"), "embedding.buy") == [False, True, False]


@pytest.mark.parametrize(
    ("tasks", "learn", "expected"),
    [
        # buy reads click
        ([TASKS[0], Binary(name="buy", reads=("click",))], "tower.click", [True, False]),
        ([TASKS[0], Binary(name="buy", reads=("click",), gradient="flow")], "tower.click", [True, True]),
        # buy is multiplied by click
        ([TASKS[0], Binary(name="buy", space="click")], "tower.click", [True, False]),
        ([TASKS[0], Binary(name="buy", space="click", gradient="flow")], "tower.click", [True, True]),
        # through two
        (
            [
                TASKS[0],
                Binary(name="buy", space="click", gradient="flow"),
                Binary(name="pay", reads=("buy",), gradient="flow"),
            ],
            "tower.click",
            [True, True, False],  # what is read is the tower's own logit, not the product
        ),
        (
            [
                TASKS[0],
                Binary(name="buy", space="click", gradient="flow"),
                Binary(name="pay", space="buy", gradient="flow"),
            ],
            "tower.click",
            [True, True, True],
        ),
        (
            [
                TASKS[0],
                Binary(name="buy", reads=("click",)),
                Binary(name="pay", reads=("buy",), gradient="flow"),
            ],
            "tower.click",
            [True, False, False],
        ),
    ],
)
def test_a_task_whose_gradient_flows_teaches_the_towers_it_takes(tasks, learn, expected):
    network = made("shared_bottom", tasks=tasks)
    assert only(network, learn) == expected


class TestFreeze:
    @pytest.fixture
    def network(self):
        return made("shared_bottom")

    def optimizers(self, network, **given):
        groups = [
            {"params": p, "lr": given.get(name, 0.1), "base_lr": given.get(name, 0.1)}
            for name, p in network.parameters_by_subnet().items()
        ]
        return [torch.optim.SGD(groups[:1]), torch.optim.SGD(groups[1:])]

    def test_only_what_has_a_rate_of_0_loses_its_gradient(self, network):
        freeze(self.optimizers(network, shared=0.0, embedding=0.0))
        frozen = {name for name, ps in network.parameters_by_subnet().items() if not any(p.requires_grad for p in ps)}
        assert frozen == {"shared", "embedding"}
        assert all(
            p.requires_grad for name, ps in network.parameters_by_subnet().items() if name not in frozen for p in ps
        )

    def test_normalisation_of_frozen_parts_stays_in_evaluation(self, network):
        train_mode(network)
        assert all(part.training for part in network.modules())
        freeze(self.optimizers(network, shared=0.0))
        train_mode(network)
        norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm1d)]
        assert norms
        assert not any(norm.training for norm in norms)
        assert network.training
        assert network.sharing.training  # dropout, if there were any, goes on


def test_balancing_methods_need_no_gradient_of_what_is_frozen():
    """A fork over a frozen trunk: towers learn, nothing comes back, and nothing fails."""
    names = ["click", "buy"]
    sharing = ARCHITECTURES.make(
        "mmoe",
        {"experts": 2, "hidden": [4]},
        in_features=5,
        tasks=names,
        features={},
        layers=Layers(),
    )
    network = Network(Embedding([3], [2], 3), sharing, Fork(2, PCGrad()), Towers(TASKS[:2], 4, []))
    only(network, "tower.click", "tower.buy", "gate.buy")
    raws = network(torch.zeros(4, 1, dtype=torch.int64), torch.randn(4, 3))
    (raws["click"].sum() + raws["buy"].sum()).backward()
    owners = network.parameters_by_subnet()
    assert all(p.grad is not None for name in ("tower.click", "tower.buy", "gate.buy") for p in owners[name])
