"""The contract of gradient methods."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from trunkline.balance.base import GramianBalancer, JacobianBalancer
from trunkline.errors import UserError

Build = Callable[[], GramianBalancer | JacobianBalancer]


def check_gradient_method(build: Build) -> None:
    """Hold a Gramian or Jacobian balancer to its contract, over gradients of every sort.

    Args:
        build: makes a fresh balancer; of one that remembers tasks or parameters, for 5 tasks and 12 of them.

    Raises:
        AssertionError: a property that does not hold.
    """
    before = torch.get_rng_state()
    for name, jacobian in jacobians().items():
        balancer = build()
        if isinstance(balancer, GramianBalancer):
            _weighs(build, jacobian, name)
        else:
            _combines(balancer, jacobian, name)
    _goes_on_from_its_state(build)
    if isinstance(build(), GramianBalancer):
        _refuses_what_is_no_gramian(build)
    assert torch.equal(torch.get_rng_state(), before), "torch's global generator was used"


def jacobians() -> dict[str, Tensor]:
    """Gradients `[5, 12]` by what is hard about them."""
    draw = torch.randn(5, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    some = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0], dtype=torch.float64)[:, None]
    rank_two = draw[:, :2] @ draw[:2]
    return {
        "random": draw,
        "conflicting": torch.cat([draw[:1], draw[1:] - 1.5 * draw[0]]),
        "norms from 1e-6 to 1e6": draw * torch.logspace(-6, 6, 5, dtype=torch.float64)[:, None],
        "a zero gradient": draw * some,
        "no gradient at all": torch.zeros_like(draw),
        "two equal gradients": draw[[0, 1, 1, 2, 3]],
        "rank two": rank_two,
        "nearly parallel": draw[:1] + 1e-7 * draw,
    }


def _weighs(build: Build, jacobian: Tensor, name: str) -> None:
    gramian = jacobian @ jacobian.T
    weights = build()(gramian)
    assert weights.shape == (5,), f"{name}: weights of shape {tuple(weights.shape)} for 5 tasks"
    assert weights.dtype == gramian.dtype, f"{name}: weights in {weights.dtype} for a Gramian in {gramian.dtype}"
    assert weights.isfinite().all(), f"{name}: weights {weights.tolist()}"
    for power in (-60, 60):
        scaled = build()(gramian * 2.0**power)
        assert torch.equal(scaled, weights), f"{name}: a power of two times the Gramian changed the weights"
    small = build()(gramian.float())
    assert small.isfinite().all(), f"{name}: weights {small.tolist()} from a Gramian in float32"


def _combines(balancer: JacobianBalancer, jacobian: Tensor, name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        rows = jacobian.to(dtype)
        update = balancer(rows)
        assert update.shape == (12,), f"{name}: an update of shape {tuple(update.shape)} for 12 parameters"
        assert update.dtype == dtype, f"{name}: an update in {update.dtype} for gradients in {dtype}"
        assert update.isfinite().all(), f"{name}: an update that is not finite"


def _goes_on_from_its_state(build: Build) -> None:
    def step(balancer: GramianBalancer | JacobianBalancer, seed: int) -> Tensor:
        rows = torch.randn(5, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        result: Tensor = balancer(rows @ rows.T if isinstance(balancer, GramianBalancer) else rows)
        return result

    balancer, fresh = build(), build()
    for seed in range(4):
        step(balancer, seed)
    fresh.load_state_dict(copy.deepcopy(balancer.state_dict()))
    for seed in range(4, 8):
        same = torch.equal(step(balancer, seed), step(fresh, seed))
        assert same, "a fresh instance with the same state_dict does not go on like the first"


def _refuses_what_is_no_gramian(build: Build) -> None:
    for shape in ((3,), (2, 3)):
        try:
            build()(torch.ones(shape))
        except UserError:
            continue
        raise AssertionError(f"a tensor of shape {shape} was taken for a Gramian")
