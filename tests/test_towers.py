import itertools

import pytest
import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.mlp import Layers
from trunkline.tasks import Binary, Multiclass, Regression, Task, cascade_order, check_tasks, sample_space
from trunkline.towers import Towers, stop_gradient

WIDTH = 4


def branches(tasks: int, n: int = 6) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, WIDTH, generator=generator) for _ in range(tasks)]


def made(tasks: list[Task], hidden: tuple[int, ...] = (5,), **options) -> Towers:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Towers(tasks, WIDTH, hidden, **options)


def cascade(gradient: str) -> list[Task]:
    return [
        Binary(name="click"),
        Multiclass(name="kind", classes=5),
        Binary(name="buy", reads=("click", "kind"), gradient=gradient),
    ]


def test_stop_gradient_keeps_the_values_and_stops_the_derivative():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    stopped = stop_gradient(x)
    assert torch.equal(stopped, x)
    assert stopped.data_ptr() == x.data_ptr()
    (stopped * x).sum().backward()
    assert x.grad.tolist() == [1.0, -2.0]


@pytest.mark.parametrize("hidden", [(), (3,), (7, 2)])
@pytest.mark.parametrize("n", [1, 6])
def test_shapes(hidden, n):
    tasks = cascade("stop")
    raws = made(tasks, hidden)(branches(3, n))
    assert list(raws) == ["click", "kind", "buy"]
    assert [raw.shape for raw in raws.values()] == [(n, 1), (n, 5), (n, 1)]


@pytest.mark.parametrize("tasks", [1, 17])
def test_numbers_of_tasks(tasks):
    towers = made([Binary(name=f"t{i}") for i in range(tasks)])
    assert len(towers(branches(tasks))) == tasks


def test_values_are_the_same_whether_the_gradient_stops_or_flows():
    stop, flow = made(cascade("stop"))(branches(3)), made(cascade("flow"))(branches(3))
    assert all(torch.equal(stop[name], flow[name]) for name in stop)


@pytest.mark.parametrize("gradient", ["stop", "flow"])
def test_the_reading_tasks_loss_reaches_upstream_towers_only_where_the_gradient_flows(gradient):
    towers, inputs = made(cascade(gradient)), branches(3)
    inputs = [branch.requires_grad_() for branch in inputs]
    towers(inputs)["buy"].square().sum().backward()
    owners = towers.parameters_by_subnet()
    upstream = [p.grad for name in ("click", "kind") for p in owners[f"tower.{name}"]] + [b.grad for b in inputs[:2]]
    if gradient == "stop":
        assert all(grad is None or not grad.any() for grad in upstream)
    else:
        assert all(grad is not None and grad.any() for grad in upstream)
    assert all(p.grad is not None and p.grad.any() for p in owners["tower.buy"])
    assert inputs[2].grad.any()


def test_a_stopped_task_still_learns_from_its_own_loss():
    towers = made(cascade("stop"))
    raws = towers(branches(3))
    sum(raw.square().sum() for raw in raws.values()).backward()
    assert all(p.grad.any() for p in towers.parameters())


def test_the_estimate_read_makes_a_difference():
    towers, inputs = made(cascade("stop")), branches(3)
    before = towers(inputs)
    with torch.no_grad():
        towers.parameters_by_subnet()["tower.click"][-1].add_(1.0)
    after = towers(inputs)
    assert not torch.allclose(before["buy"], after["buy"])
    assert torch.equal(before["kind"], after["kind"])


def test_the_reading_tower_is_as_wide_as_what_it_reads():
    towers = made(cascade("stop"), hidden=(9,))
    widths = {name: parameters[0].shape[1] for name, parameters in towers.parameters_by_subnet().items()}
    assert widths == {"tower.click": WIDTH, "tower.kind": WIDTH, "tower.buy": WIDTH + 1 + 5}


def test_signals_arrive_in_the_order_of_reads():
    """A linear tower that reads: its output is its weights times branch, then the signals."""
    tasks = [
        Binary(name="buy", reads=("kind", "dwell", "click")),
        Binary(name="click"),
        Multiclass(name="kind", classes=3),
        Regression(name="dwell", center=10.0, scale=2.0),
    ]
    towers, inputs = made(tasks, hidden=()), branches(4)
    raws = towers(inputs)
    weight, bias = towers.parameters_by_subnet()["tower.buy"]
    read = torch.cat([inputs[0], raws["kind"].softmax(1).log(), raws["dwell"], raws["click"]], dim=1)
    torch.testing.assert_close(raws["buy"], read @ weight.T + bias)


CHAIN = [
    Binary(name="view"),
    Binary(name="click", reads=("view",)),
    Multiclass(name="kind", classes=3, reads=("view", "click")),
    Regression(name="pay", reads=("kind",)),
]
each_order = pytest.mark.parametrize("order", [*itertools.permutations(range(4))], ids=lambda at: "".join(map(str, at)))


@each_order
def test_the_order_of_declaration_does_not_matter(order):
    reference, inputs = made(CHAIN), branches(4)
    expected = reference(inputs)
    towers = Towers([CHAIN[i] for i in order], WIDTH, (5,))
    for place, i in enumerate(order):
        towers.subnets[place].load_state_dict(reference.subnets[i].state_dict())
    raws = towers([inputs[i] for i in order])
    assert list(raws) == [CHAIN[i].name for i in order]
    assert all(torch.equal(raws[name], expected[name]) for name in expected)


@each_order
def test_each_task_comes_after_what_it_reads(order):
    tasks = [CHAIN[i] for i in order]
    places = cascade_order(tasks)
    assert sorted(places) == [0, 1, 2, 3]
    assert [tasks[i].name for i in places] == ["view", "click", "kind", "pay"]


def test_tasks_that_read_nothing_keep_their_order():
    assert cascade_order([Binary(name=name) for name in "dbca"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_wrong_number_of_inputs_is_refused(count):
    with pytest.raises(UserError, match=f"3 towers need 3 inputs, got {count}"):
        made(cascade("stop"))(branches(count))


def test_owners_hold_every_parameter_once():
    towers = made(cascade("stop"), layers=Layers(norm="batch"))
    owned = [p for parameters in towers.parameters_by_subnet().values() for p in parameters]
    assert list(towers.parameters_by_subnet()) == ["tower.click", "tower.kind", "tower.buy"]
    assert len({id(p) for p in owned}) == len(owned)
    assert {id(p) for p in owned} == {id(p) for p in towers.parameters()}


def test_dropout_and_norm_reach_the_towers():
    kinds = {type(module) for module in made(cascade("stop"), layers=Layers(dropout=0.2, norm="layer")).modules()}
    assert {nn.Dropout, nn.LayerNorm} <= kinds


def problems(tasks: list[Task]) -> list[str]:
    with pytest.raises(UserError) as error:
        check_tasks(tasks)
    with pytest.raises(UserError) as again:
        Towers(tasks, WIDTH, ())
    assert again.value.problems == error.value.problems
    return error.value.problems


@pytest.mark.parametrize(
    ("edges", "named"),
    [
        ({"a": ("a",)}, "a -> a"),
        ({"a": ("b",), "b": ("a",)}, "a -> b -> a"),
        ({"a": (), "b": ("d", "a"), "c": ("b",), "d": ("c",)}, "b -> d -> c -> b"),
    ],
)
def test_a_cycle_of_reads_is_refused_by_its_members(edges, named):
    found = problems([Binary(name=name, reads=reads) for name, reads in edges.items()])
    assert found == [f"reads form a cycle: {named}; remove one of them"]


def test_a_cycle_of_where_is_refused_by_its_members():
    found = problems([Binary(name="a", where="b"), Binary(name="b", where="a")])
    assert found == ["where form a cycle: a -> b -> a; remove one of them"]


def test_reading_the_same_task_twice_over_two_ways_is_no_cycle():
    check_tasks(CHAIN)


def test_no_task_is_refused():
    assert problems([]) == ["no task: give at least one"]


def test_all_problems_come_at_once():
    found = problems(
        [
            Binary(name="click"),
            Binary(name="click"),
            Regression(name="dwell", where="clik"),
            Binary(name="buy", reads=("clicks", "zebra"), where="dwell"),
        ]
    )
    assert len(found) == 5
    text = "\n".join(found)
    assert "task click: the name is used 2 times" in text
    assert "task dwell: where 'clik', which is no task; binary tasks: click" in text
    assert "task buy: reads 'clicks', which is no task; did you mean 'click'?" in text
    assert "task buy: reads 'zebra', which is no task" in text
    assert "task buy: where 'dwell', which is not a binary task" in text
    assert "did you mean 'click'?" in next(problem for problem in found if "clik'" in problem)
    assert "did you mean" not in next(problem for problem in found if "zebra" in problem)


@pytest.mark.parametrize("name", ["", "-st", "a b", "a.b", "a/b", "a€", "a\n"])
def test_malformed_names_are_refused(name):
    with pytest.raises(UserError, match="task name"):
        Binary(name=name)


def test_other_impossible_tasks_are_refused():
    with pytest.raises(UserError, match="task a: gradient is 'halt'; it is 'stop' or 'flow'"):
        Binary(name="a", gradient="halt")
    with pytest.raises(UserError, match="task a: 1 classes"):
        Multiclass(name="a", classes=1)
    for scale in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UserError, match=r"task a: center 0\.0, scale"):
            Regression(name="a", scale=scale)


def test_sample_space_follows_chains_of_where():
    nan = torch.nan
    tasks = [Binary(name="view"), Binary(name="click", where="view"), Regression(name="pay", where="click")]
    labels = {
        "view": torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, nan, 1.0]),
        "click": torch.tensor([1.0, 0.0, nan, 1.0, 0.0, 1.0, 1.0]),
        "pay": torch.tensor([5.0, 6.0, 7.0, 8.0, 9.0, 10.0, nan]),
    }
    inside = sample_space(tasks, labels)
    torch.testing.assert_close(inside["view"], labels["view"], equal_nan=True)
    torch.testing.assert_close(inside["click"], torch.tensor([1.0, 0.0, nan, nan, nan, nan, 1.0]), equal_nan=True)
    torch.testing.assert_close(inside["pay"], torch.tensor([5.0] + [nan] * 6), equal_nan=True)
