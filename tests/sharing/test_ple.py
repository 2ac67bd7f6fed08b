"""PLE against the formulas of the paper, and levels that differ."""

import itertools

import pytest
import torch
from torch import Tensor

from trunkline.balance import Equal, PCGrad
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.sharing import CGC, PLE

TASKS = ["click", "buy"]


def ple(tasks=TASKS, **options) -> PLE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PLE(5, tasks, **{"hidden": [[7], [6, 4]], **options}).double()


def features(n: int) -> Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def mixture(gate, by: Tensor, outputs: list[Tensor]) -> Tensor:
    """Each row's softmax(W by)·S."""
    rows = []
    for i, row in enumerate(by):
        powers = [torch.ones(())] if gate.weight is None else [(w @ row).exp() for w in gate.weight]
        rows.append(sum(power / sum(powers) * output[i] for power, output in zip(powers, outputs, strict=True)))
    return torch.stack(rows)


def by_the_formulas(sharing: PLE, x: Tensor, one_expert) -> list[Tensor]:
    """Level by level and path by path, of which the last is shared; NaN stands for what nothing is to read."""
    paths = [x] * (len(sharing.tasks) + 1)
    for level in sharing.levels:
        shared, *own = level.counts
        common = [one_expert(level.shared, e, paths[-1]) for e in range(shared)]
        specific = [[one_expert(level.specific[str(t)], e, paths[t]) for e in range(n)] for t, n in enumerate(own)]
        following = [
            mixture(level.gate[str(t)], paths[t], common + specific[t]) if str(t) in level.gate else None
            for t in range(len(own))
        ]
        every = common + [output for outputs in specific for output in outputs]
        following.append(mixture(level.common, paths[-1], every) if level.common is not None else None)
        paths = [torch.full((len(x), level.out_features), torch.nan) if path is None else path for path in following]
    return paths[:-1]


SHAPES = [
    {"shared": 2, "specific": 1},
    {"shared": 1, "specific": 3},
    {"shared": [1, 3], "specific": [{"click": 0, "buy": 2}, {"click": 3, "buy": 0}]},
    {"shared": [0, 2], "specific": [1, 0]},
    {"shared": [2, 0], "specific": [0, 1]},
    {"shared": [3, 1], "specific": [2, {"click": 0, "buy": 1}]},
    {"shared": [1, 2, 1], "specific": 1, "hidden": [[6], [5], [4]]},
    {"shared": [2, 0, 1], "specific": [1, 2, 1], "hidden": [[6], [5], [4]]},
    {"shared": 2, "specific": {"click": 1, "buy": 2}, "hidden": [[4]]},
]


@pytest.mark.parametrize("options", SHAPES, ids=str)
@pytest.mark.parametrize("balancer", [None, Equal], ids=["none", "equal"])
@pytest.mark.parametrize("n", [1, 4])
def test_outputs_are_those_of_the_formulas(options, balancer, n, one_expert):
    sharing, x = ple(**options), features(n)
    branches = sharing(x, Fork(2, balancer and balancer()).split)
    expected = by_the_formulas(sharing, x, one_expert)
    torch.testing.assert_close(list(branches), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{"shared": 2, "specific": 2}, {"shared": 1, "specific": {"click": 0, "buy": 2}}])
def test_one_level_is_cgc(options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cgc = CGC(5, TASKS, hidden=[7, 4], **options).double()
    sharing = ple(hidden=[[7, 4]], **options)
    found = []
    for one in (cgc, sharing):
        x = features(6).requires_grad_()
        branches = one(x, Fork(2, PCGrad()).split)
        sum(((t - 0.5) * branch - t).square().sum() for t, branch in enumerate(branches)).backward()
        owned = {name: [p.grad for p in some] for name, some in one.parameters_by_subnet().items()}
        found.append((branches, x.grad, owned, [p.grad for p in one.shared_parameters()]))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_no_numbers_leave_a_dead_expert_or_gate(levels):
    """All that are not refused: every row of every parameter is reached."""
    counts = [(s, a, b) for s, a, b in itertools.product(range(3), repeat=3) if s + a > 0 and a <= b]
    if levels == 3:
        counts = [(0, 1, 2), (1, 0, 0), (1, 0, 1), (2, 1, 0)]
    x = features(32)
    for chosen in itertools.product(counts, repeat=levels):
        shared = [s for s, _, _ in chosen]
        specific = [{"click": a, "buy": b} for _, a, b in chosen]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            sharing = PLE(5, TASKS, shared=shared, specific=specific, hidden=[[3]] * levels).double()
        for parameter in sharing.parameters():
            # Smooth and steep everywhere: no unit is dead by chance.
            torch.nn.init.uniform_(parameter, 0.01, 0.3)
        branches = sharing(x.abs(), Fork(2, Equal()).split)
        sum((branch * torch.arange(1.0, 1 + branch.numel()).view_as(branch)).sum() for branch in branches).backward()
        for name, parameter in sharing.named_parameters():
            assert parameter.grad is not None, (chosen, name)
            assert parameter.grad.flatten(1).any(1).all(), (chosen, name)


def test_owners_and_names():
    sharing = ple(["shared", "buy"], shared=[1, 2], specific=[1, {"shared": 1, "buy": 0}])
    assert list(sharing.parameters_by_subnet()) == [
        "shared",
        "experts.shared",
        "experts.buy",
        "gate.shared",
        "gate.buy",
    ]
    gates = sharing.gates(features(3), torch.zeros(3, 0))
    assert {gate: list(shares) for gate, shares in gates.items()} == {
        "level1.gate.shared": ["level1.shared.0", "level1.task.shared.0"],
        "level1.gate.buy": ["level1.shared.0", "level1.buy.0"],
        "level1.shared": ["level1.shared.0", "level1.task.shared.0", "level1.buy.0"],
        "level2.gate.shared": ["level2.shared.0", "level2.shared.1", "level2.task.shared.0"],
        "level2.gate.buy": ["level2.shared.0", "level2.shared.1"],
    }


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ({"shared": [4, 4, 4]}, ["shared is for 3 levels, hidden for 2: give one for all levels, or one each"]),
        (
            {"shared": [4], "specific": [1, 1, 1]},
            ["shared is for 1 levels, hidden for 2", "specific is for 3 levels, hidden for 2"],
        ),
        (
            {"shared": [0, 1], "specific": [{"click": 0, "buy": 1}, {"click": 1}]},
            ["level 1: no expert to read for click", "level 2: specific says nothing of buy"],
        ),
        ({"hidden": [256, 128]}, ["hidden [256, 128]: the widths of each level's experts, such as [[256], [128]]"]),
        ({"hidden": []}, ["hidden []: the widths of each level's experts"]),
        ({"hidden": [[4], []]}, ["an expert needs at least one layer"]),
        ({"shared": -1}, ["level 1: shared -1: there are 0 experts or more"]),
    ],
)
def test_impossible_arguments_are_refused(options, messages):
    with pytest.raises(UserError) as error:
        ple(**options)
    for message, problem in zip(messages, error.value.problems, strict=False):
        assert message in problem
