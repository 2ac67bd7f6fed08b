import inspect

import pytest
import torch
from torch import nn

from trunkline.balance import GramianBalancer, JacobianBalancer, ObjectiveBalancer, Sum
from trunkline.balance.fork import Fork
from trunkline.balance.methods import CONTEXT, GRADIENTS, OBJECTIVES, make_method
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.optim.param_groups import Subnets
from trunkline.registry import summary
from trunkline.sharing import SharedBottom
from trunkline.tasks import Binary, Regression
from trunkline.towers import Towers

TABLES = {"objective": OBJECTIVES, "gradients": GRADIENTS}
TASKS = [Binary(name="click"), Regression(name="dwell"), Binary(name="buy", reads=("click",))]
NAMES = [task.name for task in TASKS]
REQUIRED = {
    "fixed": {"weights": {"buy": 3.0, "click": 1.0, "dwell": 2.0}},
    "torchjd": {"aggregator": "Mean"},
}
"""Options that must be given; every other method is made without any."""

METHODS = [(table, name) for table, methods in TABLES.items() for name in methods]
each_method = pytest.mark.parametrize(("table", "name"), METHODS, ids=[f"{t}-{n}" for t, n in METHODS])


def made(table, name, parameters):
    exponents = [task.exponent for task in TASKS]
    values = REQUIRED.get(name, {})
    return make_method(TABLES[table], name, values, tasks=NAMES, exponents=exponents, parameters=parameters)


def network(balancer_of, *, at="fork"):
    """`balancer_of`: from the number of shared dense parameters to a gradient balancer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        embedding = Embedding([5, 7], [3, 2], 2)
        sharing = SharedBottom(embedding.out_features, [8, 6])
        towers = Towers(TASKS, 6, [4])
    shared = sum(parameter.numel() for parameter in sharing.parameters_by_subnet()["shared"])
    return Network(embedding, sharing, Fork(3, balancer_of(shared)), towers, at=at)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(0, rows, (16,), generator=generator) for rows in (5, 7)], 1)
    numbers = torch.randn(16, 2, generator=generator)
    labels = {"click": (ids[:, 0] % 2).float(), "dwell": numbers[:, 0] * 3, "buy": (ids[:, 1] % 3 == 0).float()}
    return ids, numbers, labels


def train_one_step(model, objective):
    subnets = Subnets([model, objective], model.parameters_by_subnet() | {"balance": list(objective.parameters())})
    optimizer = torch.optim.SGD([group for group in subnets.groups(lr=0.05) if group["params"]])
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model.fork.measure = "norms" in objective.observes
    ids, numbers, labels = batch()
    losses, active = model.losses(model(ids, numbers), labels)
    objective(losses, active).backward()
    optimizer.step()
    after = model.losses(model(ids, numbers), labels)[0].detach()
    objective.observe(active, losses=after, norms=model.fork.gramian.diagonal().sqrt())
    for name, parameter in model.named_parameters():
        assert parameter.isfinite().all(), name
        assert not torch.equal(parameter, before[name]), f"{name} did not move"
    assert all(value.isfinite().all() for value in objective.state_dict().values())
    return losses.detach().sum(), after.sum()


def test_no_method_is_missing():
    assert len(OBJECTIVES) > 5
    assert len(GRADIENTS) > 5
    assert not OBJECTIVES.keys() & GRADIENTS.keys()
    assert all(issubclass(kind, ObjectiveBalancer) for kind in OBJECTIVES.values())
    assert all(issubclass(kind, GramianBalancer | JacobianBalancer) for kind in GRADIENTS.values())
    assert len(set(OBJECTIVES.values()) | set(GRADIENTS.values())) == len(METHODS)


@each_method
def test_a_name_finds_its_class(table, name):
    assert TABLES[table].find(name) is TABLES[table][name]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("wrong", "right"), [("pcgrd", "pcgrad"), ("uncertanty", "uncertainty"), ("zzz", "")])
def test_an_unknown_name_prints_the_table(table, wrong, right):
    with pytest.raises(UserError) as error:
        TABLES[table].find(wrong)
    first, *lines = str(error.value).splitlines()
    assert first.startswith(f"method '{wrong}' is unknown")
    assert ("did you mean" in first) == (right in TABLES[table])
    assert [line.split(":")[0].strip() for line in lines] == list(TABLES[table])
    for line, method in zip(lines, TABLES[table].values(), strict=True):
        assert line.endswith(summary(method))
        assert len(summary(method)) > 10


@each_method
def test_options_are_given_by_keyword_and_have_defaults(table, name):
    method = TABLES[table][name]
    given = TABLES[table].options(name)
    parameters = inspect.signature(method.__init__).parameters
    for option, (kind, default) in given.items():
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY, option
        assert kind is not inspect.Parameter.empty
        assert (default is inspect.Parameter.empty) == (option in REQUIRED.get(name, {})), option
    assert not given.keys() & set(CONTEXT)
    assert set(parameters) - {"self"} - set(CONTEXT) == set(given)
    documented = inspect.getdoc(method)
    assert all(f"{option}:" in documented for option in given if option not in ("rescale", "seed"))


@each_method
def test_every_method_is_made_and_trains_a_step(table, name):
    if table == "objective":
        model, objective = network(lambda parameters: None), made(table, name, 0)
        assert isinstance(objective, OBJECTIVES[name])
        train_one_step(model, objective)
        return
    for at in ("fork", "parameters"):
        if at == "fork" and not getattr(GRADIENTS[name], "at_fork", True):
            with pytest.raises(UserError, match="use it at: parameters"):
                network(lambda parameters: made(table, name, parameters), at=at)
            continue
        model = network(lambda parameters: made(table, name, parameters), at=at)
        assert isinstance(model.fork.balancer, GRADIENTS[name])
        before, after = train_one_step(model, Sum(3))
        assert after < before


def test_values_for_each_task_come_by_name_or_in_order():
    def weights(values):
        return make_method(OBJECTIVES, "fixed", {"weights": values}, tasks=NAMES, exponents=[1.0] * 3, parameters=0)

    assert weights({"buy": 3.0, "click": 1.0, "dwell": 2.0}).weights.tolist() == [1.0, 2.0, 3.0]
    assert weights([1.0, 2.0, 3.0]).weights.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"click": 1.0}, "weights names click; it needs each task: click, dwell, buy"),
        ({}, "weights names nothing; it needs each task: click, dwell, buy"),
        ({"click": 1.0, "dwell": 1.0, "buy": 1.0, "like": 1.0}, "weights names click, dwell, buy, like; it needs"),
    ],
)
def test_values_that_do_not_name_each_task_are_refused(values, found):
    with pytest.raises(UserError, match=found):
        make_method(OBJECTIVES, "fixed", {"weights": values}, tasks=NAMES, exponents=[1.0] * 3, parameters=0)


def test_an_aggregators_arguments_are_no_values_for_tasks():
    balancer = make_method(
        GRADIENTS,
        "torchjd",
        {"aggregator": "TrimmedMean", "arguments": {"trim_number": 1}},
        tasks=NAMES,
        exponents=[1.0] * 3,
        parameters=0,
    )
    jacobian = torch.tensor([[1.0], [5.0], [90.0]])
    assert balancer(jacobian).tolist() == [5.0]


def test_the_network_says_what_the_user_does_not():
    moco = make_method(GRADIENTS, "moco", {"beta": 0.25}, tasks=NAMES, exponents=[1.0] * 3, parameters=17)
    assert (moco.tracked.shape, moco.beta) == ((3, 17), 0.25)
    uncertainty = make_method(OBJECTIVES, "uncertainty", {}, tasks=NAMES, exponents=[1.0, 0.5, 1.0], parameters=17)
    assert uncertainty.tasks == 3
    assert isinstance(uncertainty, nn.Module)


@pytest.mark.parametrize(
    ("table", "name", "values", "message"),
    [
        ("gradients", "graddrop", {"leak": 2.0}, "graddrop leak 2.0"),
        ("gradients", "moco", {"beta": 0.0}, "moco beta 0.0"),
        ("gradients", "db_mtl", {"beta": 2.0}, "db_mtl beta 2.0"),
        ("gradients", "excess_mtl", {"step_size": 0.0}, "excess_mtl step_size 0.0"),
        ("objective", "fixed", {"weights": [1.0]}, "3 tasks need 3 fixed weights, got 1"),
    ],
)
def test_values_out_of_range_are_refused_by_the_method(table, name, values, message):
    with pytest.raises(UserError, match=message):
        make_method(TABLES[table], name, values, tasks=NAMES, exponents=[1.0] * 3, parameters=4)
