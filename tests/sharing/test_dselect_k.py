"""DSelect-k against the formulas of the paper, and its regularisers against autograd of the terms written out."""

import math

import pytest
import torch
from torch import Tensor

from trunkline.balance import Equal, PCGrad
from trunkline.balance.fork import Fork
from trunkline.errors import UserError
from trunkline.nn.mlp import Layers
from trunkline.sharing import DSelectK

TASKS = ["click", "buy"]


def dselect_k(tasks=TASKS, *, spread: float = 0.0, width: int = 5, **options) -> DSelectK:
    """With `spread` the selectors are moved away from the middle of the step."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sharing = DSelectK(width, tasks, **{"experts": 4, "hidden": [7, 4], **options}).double()
        for gate in sharing.gate:
            for p in gate.parameters() if spread else ():
                p.data.uniform_(-spread, spread)
    return sharing


def features(n: int, *, width: int = 5) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def smooth_step(z: Tensor, gamma: float) -> Tensor:
    if z <= -gamma / 2:
        return 0 * z
    if z >= gamma / 2:
        return 0 * z + 1
    return -2 / gamma**3 * z**3 + 3 / (2 * gamma) * z + 1 / 2


def selectors(sharing: DSelectK, t: int, row: Tensor) -> tuple[list[list[Tensor]], list[Tensor]]:
    """r(z⁽ⁱ⁾)ₑ for each of k selectors, and their weights, for one row."""
    gate, count = sharing.gate[t], sharing.experts.count
    bits = math.ceil(math.log2(count))

    def numbers(of) -> Tensor:
        return of.bias if of.weight is None else of.weight @ row + of.bias

    z = numbers(gate.z).view(gate.k, bits)
    chosen = []
    for i in range(gate.k):
        shares = []
        for e in range(count):
            share = torch.ones(())
            for j, bit in enumerate(format(e, f"0{bits}b")):
                step = smooth_step(z[i, j], gate.gamma)
                share = share * (step if bit == "1" else 1 - step)
            shares.append(share)
        chosen.append(shares)
    powers = [torch.ones(()).double()] if gate.alpha is None else [alpha.exp() for alpha in numbers(gate.alpha)]
    return chosen, [power / sum(powers) for power in powers]


def by_the_formulas(sharing: DSelectK, x: Tensor, one_expert) -> list[Tensor]:
    outputs = [one_expert(sharing.experts, e, x) for e in range(sharing.experts.count)]
    mixtures = []
    for t in range(len(sharing.tasks)):
        rows = []
        for n, row in enumerate(x):
            chosen, weights = selectors(sharing, t, row)
            shares = [sum(w * r[e] for w, r in zip(weights, chosen, strict=True)) for e in range(len(outputs))]
            rows.append(sum(share * output[n] for share, output in zip(shares, outputs, strict=True)))
        mixtures.append(torch.stack(rows))
    return mixtures


each_gate = pytest.mark.parametrize("per_example", [False, True], ids=["static", "per example"])


@each_gate
@pytest.mark.parametrize(("experts", "k"), [(2, 1), (2, 2), (3, 2), (4, 1), (5, 3), (8, 2)])
@pytest.mark.parametrize("gamma", [1.0, 3.0])
@pytest.mark.parametrize(("balancer", "n"), [(None, 5), (Equal, 5), (Equal, 1)])
def test_outputs_are_those_of_the_formulas(per_example, experts, k, gamma, balancer, n, one_expert):
    sharing = dselect_k(experts=experts, k=k, gamma=gamma, per_example=per_example, spread=0.7)
    x = features(n)
    branches = sharing(x, Fork(2, balancer and balancer()).split)
    torch.testing.assert_close(list(branches), by_the_formulas(sharing, x, one_expert), rtol=1e-12, atol=1e-12)


@each_gate
@pytest.mark.parametrize("experts", [4, 6])
@pytest.mark.parametrize("entropy", [0.0, 0.3])
@pytest.mark.parametrize("scale", [1.0, 0.0], ids=["all", "one task alone"])
def test_training_adds_the_gradient_of_the_papers_terms(per_example, experts, entropy, scale):
    """As if they were in the loss, for rows and tasks that the loss reaches; the third row has no label."""
    counted = torch.tensor([1.0, 1.0, 0.0, 1.0])[:, None].double()
    found = []
    for written_out in (False, True):
        sharing = dselect_k(experts=experts, k=2, per_example=per_example, entropy=entropy, spread=0.2)
        x = features(4).requires_grad_()
        click, buy = sharing.train(not written_out)(x, Fork(2).split)
        loss = (counted * (click + scale * buy).sin()).sum()
        if written_out:
            rows = [0, 1, 3] if per_example else [0]
            for t in (0, 1) if scale else (0,):
                for n in rows:
                    for shares in selectors(sharing, t, x[n])[0]:
                        loss = loss - entropy * sum(s * (s + 1e-6).log() for s in shares) / len(rows)
                        loss = loss + (1 / sum(shares) / len(rows) if experts == 6 else 0)
        loss.backward()
        zero = torch.zeros(())
        found.append([x.grad, *((p.grad if p.grad is not None else zero * p) for p in sharing.parameters())])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


@each_gate
def test_the_output_is_the_same_in_training(per_example):
    sharing, x = dselect_k(experts=5, per_example=per_example, entropy=0.5), features(4)
    evaluated = sharing.eval()(x, Fork(2).split)
    for one, other in zip(sharing.train()(x, Fork(2, Equal()).split), evaluated, strict=True):
        assert torch.equal(one, other)


def test_entropy_makes_selectors_choose():
    """With hardly anything but entropy at work each selector ends at one expert, and at most k shares are not 0."""
    sharing, x = dselect_k(experts=8, k=2, entropy=1.0), features(6)
    sharing.train()
    optimizer = torch.optim.Adam(sharing.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        sum(1e-6 * branch.sum() for branch in sharing(x, Fork(2).split)).backward()
        optimizer.step()
    for shares in sharing.gates(x, torch.zeros(6, 0)).values():
        chosen = torch.stack(list(shares.values()), 1) > 0
        assert (chosen.sum(1) <= 2).all()
        assert (chosen.sum(1) >= 1).all()


def test_selectors_keep_to_experts_that_there_are():
    """Three experts take two bits; the fourth code is left by all selectors."""
    sharing, x = dselect_k(experts=3, k=2), features(6)
    sharing.train()
    optimizer = torch.optim.Adam(sharing.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        sum(1e-6 * branch.sum() for branch in sharing(x, Fork(2).split)).backward()
        optimizer.step()
    for gate in sharing.gate:
        chosen, _ = gate(x)
        torch.testing.assert_close(chosen.sum(2), torch.ones_like(chosen.sum(2)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("z", [0.499, 0.5, 9.0])
def test_a_gate_that_lets_nothing_through_has_shares_of_zero_and_finite_gradients(z):
    """Selectors that stand on a code without an expert."""
    sharing, x = dselect_k(experts=3, k=1), features(4)
    for gate in sharing.gate:
        torch.nn.init.constant_(gate.z.bias, z)
    branches = sharing.train()(x, Fork(2).split)
    assert all((branch.abs() < 1e-4).all() for branch in branches)
    sum(branch.sum() for branch in branches).backward()
    assert all((p.grad.abs() < 1e3).all() for p in sharing.parameters())
    if z >= 0.5:
        assert all((share == 0).all() for share in sharing.gates(x, torch.zeros(4, 0))["gate.click"].values())


def test_experts_that_are_not_chosen_have_a_share_of_exactly_zero():
    sharing, x = dselect_k(experts=4, k=1), features(3)
    torch.nn.init.constant_(sharing.gate[0].z.bias, 1.0)
    torch.nn.init.constant_(sharing.gate[1].z.bias, -1.0)
    gates = sharing.gates(x, torch.zeros(3, 0))
    assert [share.tolist() for share in gates["gate.click"].values()] == [[0.0] * 3] * 3 + [[1.0] * 3]
    assert [share.tolist() for share in gates["gate.buy"].values()] == [[1.0] * 3] + [[0.0] * 3] * 3


@pytest.mark.parametrize("width", [1, 5, 2000])
def test_every_selector_starts_well_within_the_step(width):
    sharing = dselect_k(width=width, per_example=True, experts=8, k=4, gamma=0.5)
    z = sharing.gate[0].z(features(200, width=width))
    assert z.abs().max() < 0.5 * 0.5
    assert z.std() < 0.1


def test_the_fork_holds_what_gates_read():
    x, ids = features(3), torch.zeros(3, 0)
    assert [tensor.shape for tensor in dselect_k().shared(x, ids)] == [(3, 4, 4)]
    assert [tensor.shape for tensor in dselect_k(per_example=True).shared(x, ids)] == [(3, 5), (3, 4, 4)]


@each_gate
def test_half_precision_keeps_its_dtype_and_comes_close(per_example):
    sharing = dselect_k(experts=5, per_example=per_example, entropy=0.1, layers=Layers()).float().train()
    x = features(6).float()
    full = sharing(x, Fork(2, PCGrad()).split)
    with torch.autocast("cpu", torch.bfloat16):
        half = sharing(x, Fork(2, PCGrad()).split)
    sum(branch.float().sum() for branch in half).backward()
    for one, other in zip(half, full, strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one.float(), other, rtol=0.05, atol=0.02)
    assert all(p.grad.isfinite().all() for p in sharing.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k 0: it must be in 1 … 4, the number of experts"),
        ({"k": 5}, "k 5: it must be in 1 … 4, the number of experts"),
        ({"gamma": 0.0}, "gamma 0.0: it must be above 0"),
        ({"gamma": math.nan}, "gamma nan"),
        ({"entropy": -1.0}, "entropy -1.0: it must be 0 or above"),
        ({"experts": 0}, "experts 0: there must be at least 1"),
        ({"tasks": ["a", "a"]}, "at least one, and each once"),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(UserError) as error:
        dselect_k(**options)
    assert message in str(error.value)
