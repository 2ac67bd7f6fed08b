"""What every objective balancer must satisfy. A new one joins with one line in `BALANCERS`."""

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from trunkline.balance import Fixed, ObjectiveBalancer, Sum, Uncertainty
from trunkline.errors import UserError

FIXED = [0.5, 2.0, 0.0, 1.0, 3.0, 0.25] * 3
EXPONENTS = [1.0, 0.5, 1.0, 1.0, 0.5, 0.5] * 3

Build = Callable[[Sequence[int]], ObjectiveBalancer]
"""The balancer of the tasks at these positions of an imagined list of 18."""

BALANCERS: dict[str, Build] = {
    "sum": lambda at: Sum(len(at)),
    "fixed": lambda at: Fixed(len(at), weights=[FIXED[i] for i in at]),
    "uncertainty": lambda at: Uncertainty(len(at)),
    "uncertainty, exponents": lambda at: Uncertainty(len(at), exponents=[EXPONENTS[i] for i in at]),
    "uncertainty, from zero": lambda at: Uncertainty(len(at), exponents=[EXPONENTS[i] for i in at], start="zero"),
}

each_balancer = pytest.mark.parametrize("build", BALANCERS.values(), ids=BALANCERS.keys())
POISON = [0.0, 7.0, torch.inf, -torch.inf, torch.nan]


def some_losses(at: Sequence[int], *, step: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    sizes = torch.logspace(-3, 3, 18, dtype=torch.float64)
    return (torch.rand(18, generator=generator, dtype=torch.float64) * sizes)[list(at)].to(dtype)


def train(balancer: ObjectiveBalancer, at: Sequence[int], steps: range, *, lr: float = 1e-3) -> list[Tensor]:
    """The objective of each step, with plain descent on the balancer's own parameters."""
    objectives = []
    for step in steps:
        objective = balancer(some_losses(at, step=step))
        objectives.append(objective.detach())
        if objective.requires_grad:
            balancer.zero_grad()
            objective.backward()
            with torch.no_grad():
                for parameter in balancer.parameters():
                    parameter -= lr * parameter.grad
    return objectives


def trained(build: Build, at: Sequence[int]) -> ObjectiveBalancer:
    balancer = build(at)
    train(balancer, at, range(3))
    return balancer


def gradients(balancer: ObjectiveBalancer, objective: Tensor, losses: Tensor) -> list[Tensor]:
    """With respect to the losses, then to the balancer's parameters."""
    if not objective.requires_grad:
        return [torch.zeros_like(losses)]
    return list(torch.autograd.grad(objective, [losses, *balancer.parameters()]))


@each_balancer
@pytest.mark.parametrize("shape", [(), (2,), (4,), (3, 1), (1, 3)])
def test_losses_of_another_shape_are_refused(build, shape):
    with pytest.raises(UserError, match="3 losses expected, got a tensor of shape"):
        build(range(3))(torch.ones(shape))


@pytest.mark.parametrize("kind", [Sum, Uncertainty])
def test_no_task_is_refused(kind):
    with pytest.raises(UserError, match="at least one task, not 0"):
        kind(0)


@each_balancer
@pytest.mark.parametrize("tasks", [1, 2, 17])
def test_any_number_of_tasks(build, tasks):
    balancer, losses = trained(build, range(tasks)), some_losses(range(tasks), step=9).requires_grad_()
    objective = balancer(losses)
    assert objective.shape == ()
    weights, *others = gradients(balancer, objective, losses)
    assert weights.isfinite().all()
    assert (weights >= 0).all()
    assert weights.sum() > 0
    assert all(other.isfinite().all() for other in others)


@each_balancer
def test_all_tasks_are_active_by_default(build):
    balancer, losses = trained(build, range(4)), some_losses(range(4))
    assert torch.equal(balancer(losses), balancer(losses, torch.ones(4, dtype=torch.bool)))


@each_balancer
@pytest.mark.parametrize("poison", POISON)
@pytest.mark.parametrize("off", [0, 1, 3])
def test_an_inactive_task_counts_as_if_it_were_not_there(build, poison, off):
    at, kept = range(4), [i for i in range(4) if i != off]
    whole, less = build(at), build(kept)
    losses = some_losses(at)
    losses[off] = poison
    losses.requires_grad_()
    few = some_losses(kept).requires_grad_()
    active = torch.tensor([i != off for i in at])
    one, other = whole(losses, active), less(few)
    torch.testing.assert_close(one, other)
    for gradient, expected in zip(gradients(whole, one, losses), gradients(less, other, few), strict=True):
        assert gradient[off] == 0
        torch.testing.assert_close(gradient[kept], expected)


@each_balancer
@pytest.mark.parametrize("poison", POISON)
def test_the_loss_of_an_inactive_task_changes_nothing_after_training(build, poison):
    balancer, active = trained(build, range(4)), torch.tensor([True, False, True, True])
    results = []
    for value in (1.0, poison):
        losses = some_losses(range(4))
        losses[1] = value
        losses.requires_grad_()
        objective = balancer(losses, active)
        results.append([objective.detach(), *gradients(balancer, objective, losses)])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@each_balancer
def test_no_active_task_gives_zero_and_no_gradient(build):
    balancer = trained(build, range(3))
    losses = torch.full((3,), torch.nan, requires_grad=True)
    objective = balancer(losses, torch.zeros(3, dtype=torch.bool))
    assert objective == 0
    assert all((gradient == 0).all() for gradient in gradients(balancer, objective, losses))


@each_balancer
def test_permuting_the_tasks_changes_nothing(build):
    at = list(range(6))
    order = [3, 0, 5, 1, 4, 2]
    one, other = build(at), build([at[i] for i in order])
    torch.testing.assert_close(train(one, at, range(5)), train(other, order, range(5)))
    torch.testing.assert_close(
        one.effective_weights(some_losses(at, step=9))[order],
        other.effective_weights(some_losses(order, step=9)),
    )


@each_balancer
def test_effective_weights_equal_differences_of_the_objective(build):
    balancer, at = trained(build, range(5)), range(5)
    active = torch.tensor([True, True, False, True, True])
    weights = balancer.effective_weights(some_losses(at), active)
    assert weights.shape == (5,)
    assert weights.dtype == torch.float32
    exact = copy.deepcopy(balancer).double()
    losses = some_losses(at, dtype=torch.float64)
    for i in range(5):
        step = torch.zeros(5, dtype=torch.float64)
        step[i] = 1e-4 * losses[i]
        with torch.no_grad():
            slope = (exact(losses + step, active) - exact(losses - step, active)) / (2 * step[i])
        torch.testing.assert_close(weights[i].double(), slope, rtol=1e-5, atol=1e-7)


@each_balancer
def test_effective_weights_leave_no_trace(build):
    balancer, losses = trained(build, range(4)), some_losses(range(4)).requires_grad_()
    before = copy.deepcopy(balancer.state_dict())
    balancer.zero_grad()
    with torch.no_grad():
        weights = balancer.effective_weights(losses)
    assert not weights.requires_grad
    assert losses.grad is None
    assert all(parameter.grad is None for parameter in balancer.parameters())
    after = balancer.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@each_balancer
def test_a_fresh_instance_continues_from_the_state_to_the_bit(build):
    at = range(5)
    balancer, fresh = trained(build, at), build(at)
    fresh.load_state_dict(copy.deepcopy(balancer.state_dict()))
    assert torch.equal(torch.stack(train(balancer, at, range(3, 8))), torch.stack(train(fresh, at, range(3, 8))))
    one, other = balancer.state_dict(), fresh.state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_fixed_weights_travel_with_the_state():
    fresh = Fixed(2, weights=[1.0, 1.0])
    fresh.load_state_dict(Fixed(2, weights=[3.0, 0.5]).state_dict())
    assert fresh(torch.tensor([1.0, 10.0])) == 8.0


@each_balancer
def test_the_global_generator_is_not_touched(build):
    before = torch.get_rng_state()
    trained(build, range(4)).effective_weights(some_losses(range(4)))
    assert torch.equal(torch.get_rng_state(), before)


def test_sum_and_fixed_against_numbers():
    losses = torch.tensor([1.0, 10.0, 100.0])
    assert Sum(3)(losses) == 111.0
    assert Fixed(3, weights=[2.0, 0.0, 0.5])(losses) == 52.0
    assert Sum(3).effective_weights(losses).tolist() == [1.0, 1.0, 1.0]
    assert Fixed(3, weights=[2.0, 0.0, 0.5]).effective_weights(losses).tolist() == [2.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "3 tasks need 3 fixed weights, got 2"),
        ([1.0, -2.0, 1.0], "finite and >= 0"),
        ([1.0, torch.inf, 1.0], "finite and >= 0"),
        ([1.0, torch.nan, 1.0], "finite and >= 0"),
        ([0.0, 0.0, 0.0], "one must be above 0"),
    ],
)
def test_impossible_fixed_weights_are_refused(weights, message):
    with pytest.raises(UserError, match=message):
        Fixed(3, weights=weights)


def test_uncertainty_from_zero_starts_as_the_plain_sum():
    losses = torch.tensor([1.0, 10.0, 100.0])
    assert Uncertainty(3, exponents=[1.0, 0.5, 1.0], start="zero")(losses) == Sum(3)(losses)


def test_impossible_uncertainties_are_refused():
    with pytest.raises(UserError, match="3 tasks need 3 exponents, got 1"):
        Uncertainty(3, exponents=[1.0])
    with pytest.raises(UserError, match="start 'one': it is 'loss' or 'zero'"):
        Uncertainty(3, start="one")


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_uncertainty_starts_at_its_minimum_for_the_first_losses(exponent):
    balancer, losses = Uncertainty(3, exponents=[exponent] * 3), torch.tensor([0.02, 1.0, 50.0])
    slope = torch.autograd.grad(balancer(losses), balancer.log_variance)[0]
    torch.testing.assert_close(slope, torch.zeros(3), atol=1e-6, rtol=0)
    shares = balancer.effective_weights(losses) * losses
    torch.testing.assert_close(shares, shares[:1].expand(3))


def test_uncertainty_starts_each_task_with_its_own_first_loss_and_only_once():
    balancer = Uncertainty(2)
    balancer(torch.tensor([8.0, torch.nan]), torch.tensor([True, False]))
    first = balancer.log_variance.tolist()
    assert first == [pytest.approx(torch.tensor(16.0).log().item()), 0.0]
    balancer(torch.tensor([0.1, 2.0]))
    second = balancer.log_variance.tolist()
    assert second == [first[0], pytest.approx(torch.tensor(4.0).log().item())]
    fresh = Uncertainty(2)
    fresh.load_state_dict(balancer.state_dict())
    for again in (balancer, fresh):
        again(torch.tensor([77.0, 77.0]))
        assert again.log_variance.tolist() == second


@pytest.mark.parametrize("loss", [0.0, -1.0, torch.inf, torch.nan, 1e-30, 1e30])
def test_uncertainty_survives_any_first_loss(loss):
    """A likelihood without its constants may be negative."""
    balancer = Uncertainty(2)
    balancer(torch.tensor([loss, 1.0]))
    assert balancer.log_variance.isfinite().all()
    losses = torch.tensor([2.0, 1.0])
    assert balancer(losses).isfinite()
    assert balancer.effective_weights(losses).isfinite().all()


def test_asking_for_weights_does_not_start_uncertainty():
    balancer = Uncertainty(2)
    balancer.effective_weights(torch.tensor([500.0, 0.1]))

    assert not balancer.started.any()
    assert torch.equal(balancer.log_variance, torch.zeros(2))
    assert balancer.training
