"""CGC against the formulas of the paper, and numbers of experts that differ."""

import pytest
import torch
from torch import Tensor

from trunkline.balance import Equal, PCGrad
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.sharing import CGC, MMoE

TASKS = ["click", "buy"]


def cgc(tasks=TASKS, **options) -> CGC:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CGC(5, tasks, **{"hidden": [7, 4], **options}).double()


def features(n: int) -> Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_the_formulas(sharing: CGC, x: Tensor, one_expert) -> list[Tensor]:
    """Each row's wₜ(x)·Sₜ(x), w by softmax, S the shared experts' outputs above the task's own."""
    level, mixtures = sharing.level, []
    shared, *own = level.counts
    for t in range(len(own)):
        outputs = [one_expert(level.shared, e, x) for e in range(shared)]
        outputs += [one_expert(level.specific[str(t)], e, x) for e in range(own[t])]
        rows = []
        for i, row in enumerate(x):
            weight = level.gate[str(t)].weight
            powers = [torch.ones(())] if weight is None else [(w @ row).exp() for w in weight]
            rows.append(sum(power / sum(powers) * output[i] for power, output in zip(powers, outputs, strict=True)))
        mixtures.append(torch.stack(rows))
    return mixtures


@pytest.mark.parametrize(
    ("shared", "specific"),
    [(1, 1), (2, 1), (1, 3), (4, 2), (1, 0), (0, 1), (0, 2), (2, {"click": 0, "buy": 3}), (1, {"buy": 1, "click": 0})],
)
@pytest.mark.parametrize("balancer", [None, Equal], ids=["none", "equal"])
@pytest.mark.parametrize("n", [1, 6])
def test_outputs_are_those_of_the_formulas(shared, specific, balancer, n, one_expert):
    """Two shared and one specific expert, and one and three, are where others index out of range or build dead ones."""
    sharing, x = cgc(shared=shared, specific=specific), features(n)
    branches = sharing(x, Fork(2, balancer and balancer()).split)
    expected = by_the_formulas(sharing, x, one_expert)
    torch.testing.assert_close(list(branches), expected, rtol=1e-12, atol=1e-12)


def test_without_experts_of_the_tasks_own_it_is_mmoe():
    sharing, x = cgc(shared=3, specific=0), features(6)
    mmoe = MMoE(5, TASKS, experts=3, hidden=[7, 4]).double()
    mmoe.experts.load_state_dict(sharing.level.shared.state_dict())
    for t, gate in enumerate(mmoe.gate):
        gate.load_state_dict(sharing.level.gate[str(t)].state_dict())
    torch.testing.assert_close(sharing(x, Fork(2).split), mmoe(x, Fork(2).split), rtol=1e-12, atol=1e-12)


def test_no_gradient_reaches_another_tasks_experts():
    sharing = cgc(shared=2, specific=2)
    sharing(features(6), Fork(2, PCGrad()).split)[0].sum().backward()
    reached = {name: any(p.grad is not None for p in some) for name, some in sharing.parameters_by_subnet().items()}
    assert reached == {
        "shared": True,
        "experts.click": True,
        "gate.click": True,
        "experts.buy": False,
        "gate.buy": False,
    }


def test_owners_and_names():
    sharing = cgc(["shared", "buy"], shared=2, specific={"shared": 1, "buy": 0})
    assert list(sharing.parameters_by_subnet()) == ["shared", "experts.shared", "gate.shared", "gate.buy"]
    gates = sharing.gates(features(3), torch.zeros(3, 0))
    assert {gate: list(shares) for gate, shares in gates.items()} == {
        "gate.shared": ["shared.0", "shared.1", "task.shared.0"],
        "gate.buy": ["shared.0", "shared.1"],
    }


def test_one_expert_alone_needs_no_gate():
    sharing = cgc(shared=1, specific={"click": 0, "buy": 1})
    assert list(sharing.parameters_by_subnet()) == ["shared", "experts.buy", "gate.buy"]
    assert torch.equal(sharing.gates(features(3), torch.zeros(3, 0))["gate.click"]["shared.0"], torch.ones(3).double())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"specific": {"click": 1}}, "specific says nothing of buy: give one number for all tasks, or one for each"),
        ({"specific": {"click": 1, "by": 2, "buy": 1}}, "'by' is none of the tasks click, buy; did you mean 'buy'?"),
        ({"specific": -1}, "specific -1: there are 0 experts or more"),
        ({"shared": -1}, "shared -1: there are 0 experts or more"),
        ({"shared": 0, "specific": {"click": 0, "buy": 1}}, "no expert to read for click: shared 0 and specific 0"),
        ({"hidden": []}, "an expert needs at least one layer"),
        ({"tasks": []}, "at least one, and each once"),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(UserError) as error:
        cgc(**options)
    assert message in str(error.value)
