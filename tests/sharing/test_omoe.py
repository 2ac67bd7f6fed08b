"""OMoE against the formula of the paper."""

import pytest
import torch

from trunkline.balance import Equal
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.sharing import MMoE, OMoE


def omoe(experts: int = 3, **options) -> OMoE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return OMoE(5, experts=experts, hidden=[7, 4], **options).double()


def features(n: int) -> torch.Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("experts", "n"), [(1, 1), (3, 1), (3, 6)])
def test_every_task_reads_the_same_mixture(experts, n, one_expert):
    sharing, x = omoe(experts), features(n)
    outputs = [one_expert(sharing.experts, e, x) for e in range(experts)]
    expected = []
    for i, row in enumerate(x):
        logits = [1.0] if experts == 1 else [(sharing.gate.weight[e] @ row).exp() for e in range(experts)]
        expected.append(sum(logit / sum(logits) * output[i] for logit, output in zip(logits, outputs, strict=True)))
    for branch in sharing(x, Fork(3, Equal()).split):
        torch.testing.assert_close(branch, torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_it_is_an_mmoe_whose_gates_are_all_the_same():
    sharing, x = omoe(), features(6)
    mmoe = MMoE(5, ["a", "b"], experts=3, hidden=[7, 4]).double()
    mmoe.experts.load_state_dict(sharing.experts.state_dict())
    for gate in mmoe.gate:
        gate.load_state_dict(sharing.gate.state_dict())
    torch.testing.assert_close(sharing(x, Fork(2).split), mmoe(x, Fork(2).split), rtol=1e-12, atol=1e-12)


def test_the_gate_is_shared():
    sharing = omoe()
    assert list(sharing.parameters_by_subnet()) == ["shared"]
    assert [list(shares) for shares in sharing.gates(features(2), torch.zeros(2, 0)).values()] == [
        ["shared.0", "shared.1", "shared.2"]
    ]


def test_no_expert_is_refused():
    with pytest.raises(UserError, match="experts 0: there must be at least 1"):
        omoe(experts=0)
