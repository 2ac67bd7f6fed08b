import copy

import pytest
import torch
from torch import Tensor

from trunkline.balance import Equal, PCGrad, Sum, Uncertainty
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.optim.param_groups import Subnets
from trunkline.sharing import MMoE, SharedBottom
from trunkline.tasks import Binary, Multiclass, Regression, Task
from trunkline.towers import Towers

TASKS: list[Task] = [
    Binary(name="click"),
    Multiclass(name="kind", classes=3),
    Regression(name="dwell", reads=("click",)),
]
ROWS = [6, 5]


def network(
    tasks: list[Task] = TASKS, fork: Fork | None = None, *, rows=ROWS, widths=(4, 3), numbers: int = 2
) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        embedding = Embedding(rows, list(widths), numbers)
        sharing = SharedBottom(embedding.out_features, [16, 8])
        return Network(embedding, sharing, fork or Fork(len(tasks), Equal()), Towers(tasks, 8, [6]))


def batch(n: int, *, rows=ROWS, numbers: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(0, count, (n,), generator=generator) for count in rows]
    return torch.stack(ids, 1) if ids else torch.empty(n, 0), torch.randn(n, numbers, generator=generator)


def labels_of(ids: Tensor, numbers: Tensor) -> dict[str, Tensor]:
    return {
        "click": (ids[:, 1] % 2).float(),
        "kind": (ids[:, 0] % 3).float(),
        "dwell": numbers[:, 0].abs() - numbers[:, 1],
    }


@pytest.mark.parametrize("n", [1, 9])
@pytest.mark.parametrize("tasks", [TASKS[:1], TASKS, [Binary(name=f"t{i}") for i in range(17)]], ids=len)
@pytest.mark.parametrize(
    ("rows", "widths", "numbers"),
    [([], [], 3), ([6, 5], [4, 3], 0), ([6, 5], [4, 4], 2)],
    ids=["numbers", "ids", "both"],
)
def test_shapes(n, tasks, rows, widths, numbers):
    model = network(tasks, rows=rows, widths=widths, numbers=numbers)
    ids, values = batch(n, rows=rows, numbers=numbers)
    raws = model(ids, values)
    assert {name: raw.shape for name, raw in raws.items()} == {task.name: (n, task.outputs) for task in tasks}
    losses, active = model.losses(raws, {task.name: torch.ones(n) for task in tasks})
    assert losses.shape == active.shape == (len(tasks),)
    losses.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_tasks_come_in_order():
    assert network().tasks == tuple(TASKS)


@pytest.mark.parametrize("numbers", [0, 2])
def test_owners_are_a_total_partition(numbers):
    model = network(numbers=numbers)
    subnets = Subnets([model], model.parameters_by_subnet())
    assert list(subnets) == ["embedding", "shared", "tower.click", "tower.kind", "tower.dwell"]
    assert sum(len(parameters) for parameters in subnets.values()) == len(list(model.parameters()))


def test_a_network_without_tables_has_no_embedding_subnet():
    assert "embedding" not in network(rows=[], widths=[]).parameters_by_subnet()


def test_the_state_makes_a_copy():
    one = network(fork=Fork(3, PCGrad()))
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(0.1)
    other = network(fork=Fork(3, PCGrad()))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(one(*batch(5)).values(), other(*batch(5)).values(), strict=True))


def test_parts_that_do_not_fit_are_refused_all_at_once():
    embedding, towers = Embedding([6], [4], 1), Towers(TASKS, 8, [])
    with pytest.raises(UserError) as error:
        Network(embedding, SharedBottom(6, [9]), Fork(2), towers)
    assert error.value.problems == [
        "the fork has 2 branches for 3 towers",
        "the embedding is 5 wide, the sharing reads 6",
        "the sharing is 9 wide, the towers read 8",
    ]


def test_gates_of_other_tasks_are_refused():
    towers = Towers(TASKS, 4, [])
    names = [task.name for task in TASKS]
    with pytest.raises(UserError, match="the sharing is for"):
        Network(Embedding([6], [4], 1), MMoE(5, names[::-1], experts=2, hidden=[4]), Fork(3), towers)


@pytest.mark.parametrize("objective", [Sum, Uncertainty])
@pytest.mark.parametrize("balancer", [lambda: None, PCGrad], ids=["plain", "pcgrad"])
def test_every_task_of_a_small_problem_is_learnt(objective, balancer):
    model, merge = network(fork=Fork(3, balancer())), objective(3)
    ids, numbers = batch(400)
    labels = labels_of(ids, numbers)
    labels["kind"][:50] = torch.nan
    subnets = Subnets([model, merge], model.parameters_by_subnet() | {"balance": list(merge.parameters())})
    optimizer = torch.optim.Adam([group for group in subnets.groups(lr=0.01) if group["params"]])
    before = None
    for _ in range(300):
        losses, active = model.losses(model(ids, numbers), labels)
        before = losses.detach() if before is None else before
        optimizer.zero_grad()
        merge(losses, active).backward()
        optimizer.step()
    after, _ = model.losses(model(ids, numbers), labels)
    assert (before > 0.3).all()
    assert (after < 0.1 * before).all(), (before, after)


def test_a_task_without_labels_changes_no_parameter_of_the_others():
    ids, numbers = batch(32)
    labels = labels_of(ids, numbers)
    labels["kind"] = torch.full((32,), torch.nan)
    gradients = []
    for tasks in (TASKS, [TASKS[0], TASKS[2]]):
        model = network(TASKS, fork=Fork(3, PCGrad()))
        if len(tasks) == 2:
            less = Network(model.embedding, model.sharing, Fork(2, PCGrad()), Towers(tasks, 8, [6]))
            less.towers.subnets[0].load_state_dict(model.towers.subnets[0].state_dict())
            less.towers.subnets[1].load_state_dict(model.towers.subnets[2].state_dict())
            model = less
        losses, active = model.losses(model(ids, numbers), labels)
        Sum(len(tasks))(losses, active).backward()
        gradients.append(
            [p.grad for name, ps in model.parameters_by_subnet().items() if name != "tower.kind" for p in ps]
        )
    torch.testing.assert_close(*gradients)
