import pytest
import torch
from torch import Tensor, nn

from trunkline.balance import Equal, Uncertainty
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.optim.param_groups import BALANCE_LR, GroupOptions, Subnets
from trunkline.optim.schedules import Constant, WarmupCosine
from trunkline.sharing import SharedBottom
from trunkline.tasks import Binary, Regression
from trunkline.towers import Towers


def network() -> tuple[Network, Uncertainty]:
    tasks = [Binary(name="click"), Regression(name="dwell"), Binary(name="buy")]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        embedding = Embedding([9], [4], 2)
        model = Network(embedding, SharedBottom(6, [8]), Fork(3, Equal()), Towers(tasks, 8, [5]))
    return model, Uncertainty(3)


def partition() -> Subnets:
    model, objective = network()
    return Subnets([model, objective], model.parameters_by_subnet() | {"balance": list(objective.parameters())})


def rates(**options) -> dict[str, tuple[float, float]]:
    """(learning rate, decay) by subnet."""
    return {group["name"]: (group["lr"], group["weight_decay"]) for group in partition().groups(**options)}


def test_defaults_hold_for_all_but_the_balancer():
    found = rates(lr=0.1, weight_decay=0.2)
    assert found.pop("balance") == (0.01, 0.0)
    assert BALANCE_LR == 0.01
    assert set(found) == {"embedding", "shared", "tower.click", "tower.dwell", "tower.buy"}
    assert set(found.values()) == {(0.1, 0.2)}


def test_an_exact_name_beats_every_pattern_and_of_patterns_the_later_wins():
    found = rates(
        lr=0.1,
        overrides={
            "tower.buy": GroupOptions(lr=0.7),
            "*": GroupOptions(lr=0.2, weight_decay=0.5),
            "tower.*": GroupOptions(lr=0.3),
            "*.c?ick": GroupOptions(lr=0.4),
        },
    )
    assert found == {
        "embedding": (0.2, 0.5),
        "shared": (0.2, 0.5),
        "tower.click": (0.4, 0.5),
        "tower.dwell": (0.3, 0.5),
        "tower.buy": (0.7, 0.5),
        "balance": (0.01, 0.0),
    }
    assert rates(lr=0.1, overrides={"tower.*": GroupOptions(lr=0.3), "*": GroupOptions(lr=0.2)})["tower.buy"] == (
        0.2,
        0.0,
    )


@pytest.mark.parametrize("pattern", ["balance", "bal*"])
def test_the_balancer_listens_to_its_own_name(pattern):
    found = rates(lr=0.1, overrides={pattern: GroupOptions(lr=0.5, weight_decay=0.25), "*": GroupOptions(lr=9.0)})
    assert found["balance"] == (0.5, 0.25)


def test_overrides_change_only_what_they_name():
    falling, constant = WarmupCosine(), Constant()
    groups = partition().groups(
        lr=0.1,
        weight_decay=0.2,
        schedule=falling,
        overrides={
            "shared": GroupOptions(lr=0.0),
            "embedding": GroupOptions(weight_decay=0.0),
            "tower.buy": GroupOptions(schedule=constant),
        },
    )
    by_name = {group["name"]: group for group in groups}
    assert [by_name["shared"][key] for key in ("lr", "base_lr", "weight_decay", "schedule")] == [0.0, 0.0, 0.2, falling]
    assert [by_name["embedding"][key] for key in ("lr", "weight_decay", "schedule")] == [0.1, 0.0, falling]
    assert [by_name["tower.buy"][key] for key in ("lr", "weight_decay", "schedule")] == [0.1, 0.2, constant]


def test_groups_hold_every_parameter_once_and_fit_torchs_optimisers():
    subnets = partition()
    groups = subnets.groups(lr=0.1)
    held = [p for group in groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == sum(len(parameters) for parameters in subnets.values())
    for optimizer in (torch.optim.SGD, torch.optim.AdamW, torch.optim.Adagrad):
        made = optimizer(subnets.groups(lr=0.1, overrides={"shared": GroupOptions(lr=0.3)}))
        assert {group["name"]: group["lr"] for group in made.param_groups}["shared"] == 0.3


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_a_trunk_at_rate_0_is_frozen_while_a_tower_learns(optimizer):
    model, objective = network()
    subnets = Subnets([model, objective], model.parameters_by_subnet() | {"balance": list(objective.parameters())})
    made = optimizer(subnets.groups(lr=0.1, weight_decay=0.5, overrides={"shared": GroupOptions(lr=0.0)}))
    before = {name: [p.detach().clone() for p in parameters] for name, parameters in subnets.items()}
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        ids, numbers = torch.randint(0, 9, (16, 1), generator=generator), torch.randn(16, 2, generator=generator)
        label = (numbers[:, 0] > 0).float()
        losses, active = model.losses(model(ids, numbers), {task.name: label for task in model.tasks})
        made.zero_grad()
        objective(losses, active).backward()
        made.step()
    for name, parameters in subnets.items():
        same = [torch.equal(p, old) for p, old in zip(parameters, before[name], strict=True)]
        assert all(same) if name == "shared" else not any(same), name


def test_each_subnet_moves_at_its_own_rate():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
    subnets = Subnets.matching(net, {"body": "0.*", "head": "1.*"})
    optimizer = torch.optim.SGD(subnets.groups(lr=0.25, overrides={"head": GroupOptions(lr=0.5)}))
    net(torch.ones(1, 1)).sum().backward()  # both derivatives are 1
    optimizer.step()
    assert [p.item() for p in net.parameters()] == [0.75, 0.5]


def test_an_unknown_override_is_refused_with_both_sides():
    with pytest.raises(UserError) as error:
        partition().groups(
            lr=0.1, overrides={"sharde": GroupOptions(lr=0.2), "gate.*": GroupOptions(), "shared": GroupOptions()}
        )
    first, second = error.value.problems
    assert "subnet pattern 'sharde' matches none of the subnets embedding, shared, tower.click" in first
    assert "did you mean 'shared'?" in first
    assert "subnet pattern 'gate.*' matches none of the subnets embedding, shared, tower.click" in second


@pytest.mark.parametrize("rate", [{"lr": -0.1}, {"weight_decay": -1.0}, {"lr": float("nan")}])
def test_impossible_rates_are_refused(rate):
    name, value = next(iter(rate.items()))
    with pytest.raises(UserError, match=f"{name} {value}: it must be 0 or above"):
        GroupOptions(**rate)
    with pytest.raises(UserError, match=f"{name} {value}: it must be 0 or above"):
        partition().groups(**({"lr": 0.1} | rate))


class Single(nn.Module):
    """A network of one task, from nowhere in particular."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4))
        self.head = nn.Linear(4, 1)
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)) / self.temperature


def test_any_module_can_be_partitioned_by_names():
    net = Single()
    patterns = {"rest": ["temperature", "body.2.*", "head.?*"], "first": "body.0.*"}
    subnets = Subnets.matching(net, patterns)
    expected = {
        "rest": [net.temperature, *net.body[2].parameters(), *net.head.parameters()],
        "first": [*net.body[0].parameters()],
    }
    assert {name: [id(p) for p in held] for name, held in subnets.items()} == {
        name: [id(p) for p in held] for name, held in expected.items()
    }


def test_patterns_of_one_subnet_may_overlap():
    subnets = Subnets.matching(Single(), {"all": ["*", "head.*", "*.bias"]})
    assert len(subnets["all"]) == 7


def test_parameters_that_no_pattern_matches_are_listed():
    with pytest.raises(UserError) as error:
        Subnets.matching(Single(), {"body": "body.*"})
    assert error.value.problems == [
        "parameters in no subnet: temperature, head.weight, head.bias; subnets: body",
    ]


def test_parameters_in_two_subnets_are_listed_with_both():
    with pytest.raises(UserError) as error:
        Subnets.matching(Single(), {"all": "*", "head": "head.*"})
    assert error.value.problems == [
        "parameter head.weight is in several subnets: all, head",
        "parameter head.bias is in several subnets: all, head",
    ]


def test_patterns_that_match_nothing_are_listed_with_the_parameters():
    with pytest.raises(UserError) as error:
        Subnets.matching(Single(), {"body": ["body.*", "trunk.*"], "head": "Head.*"})
    first, second = error.value.problems
    assert "subnet body: pattern 'trunk.*' matches no parameter; parameters: temperature, body.0.weight" in first
    assert "subnet head: pattern 'Head.*' matches no parameter" in second


def test_all_problems_of_a_partition_come_at_once():
    net, stranger = Single(), nn.Parameter(torch.zeros(1))
    owners = {"one": [net.head.weight, stranger], "two": [net.head.weight]}
    with pytest.raises(UserError) as error:
        Subnets([net], owners)
    text = str(error.value)
    assert "parameters in no subnet: temperature, body.0.weight" in text
    assert "head.bias; subnets: one, two" in text
    assert "parameter head.weight is in several subnets: one, two" in text
    assert "subnet one holds a parameter that is in none of the modules" in text


def test_a_parameter_twice_in_one_subnet_is_refused():
    net = nn.Linear(2, 1)
    with pytest.raises(UserError, match="parameter weight is in several subnets: all, all"):
        Subnets([net], {"all": [net.weight, net.weight, net.bias]})


def test_no_subnets_at_all_is_said():
    with pytest.raises(UserError, match="parameters in no subnet: weight, bias; subnets: none"):
        Subnets([nn.Linear(2, 1)], {})


def test_tied_parameters_count_once():
    net = Single()
    net.body[2].weight = net.body[0].weight = nn.Parameter(torch.zeros(4, 4))
    subnets = Subnets.matching(net, {"body": "body.*", "rest": ["head.*", "temperature"]})
    assert [len(parameters) for parameters in subnets.values()] == [3, 3]


def test_a_partition_is_a_mapping():
    subnets = Subnets.matching(Single(), {"body": "body.*", "rest": ["head.*", "temperature"]})
    assert dict(subnets).keys() == {"body", "rest"}
    assert len(subnets) == 2
    assert "head" not in subnets
