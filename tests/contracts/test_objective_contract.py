"""What every objective balancer must satisfy. A new one joins with one line in `BALANCERS`."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from trunkline.balance import Fixed, ObjectiveBalancer, Sum, Uncertainty
from trunkline.balance.objectives.dwa import DWA
from trunkline.balance.objectives.famo import FAMO
from trunkline.balance.objectives.geometric import Geometric
from trunkline.balance.objectives.gradnorm import GradNorm
from trunkline.balance.objectives.imtl_l import IMTLL
from trunkline.balance.objectives.revised_uncertainty import RevisedUncertainty
from trunkline.balance.objectives.rlw import RLW
from trunkline.balance.objectives.stch import STCH
from trunkline.balance.objectives.uw_so import UWSO
from trunkline.errors import UserError

FIXED = [0.5, 2.0, 0.0, 1.0, 3.0, 0.25] * 3
EXPONENTS = [1.0, 0.5, 1.0, 1.0, 0.5, 0.5] * 3

Build = Callable[[Sequence[int]], ObjectiveBalancer]
"""The balancer of the tasks at these positions of an imagined list of 18."""


@dataclass(frozen=True)
class Entry:
    """A balancer and what is known of it.

    `total`: what the effective weights of `active` tasks sum to, where the method fixes that.
    `held`: why its effective weights are no derivative of the objective's value.
    `drawn`: why the tasks' order matters.
    """

    build: Build
    total: Callable[[int], float] | None = None
    held: str = ""
    drawn: str = ""


def all_active(active: int) -> float:
    return active


def one(active: int) -> float:
    return 1.0


SOFTMAX = "the weights are constants in the backward"
RANDOM = "a draw belongs to a position, not to a task"

BALANCERS: dict[str, Entry] = {
    "sum": Entry(lambda at: Sum(len(at)), all_active),
    "fixed": Entry(lambda at: Fixed(len(at), weights=[FIXED[i] for i in at])),
    "uncertainty": Entry(lambda at: Uncertainty(len(at))),
    "uncertainty, exponents": Entry(lambda at: Uncertainty(len(at), exponents=[EXPONENTS[i] for i in at])),
    "uncertainty, from zero": Entry(
        lambda at: Uncertainty(len(at), exponents=[EXPONENTS[i] for i in at], start="zero")
    ),
    "revised uncertainty": Entry(lambda at: RevisedUncertainty(len(at), exponents=[EXPONENTS[i] for i in at])),
    "revised uncertainty, from zero": Entry(lambda at: RevisedUncertainty(len(at), start="zero")),
    "uw-so": Entry(lambda at: UWSO(len(at)), all_active, held=SOFTMAX),
    "uw-so, as published": Entry(lambda at: UWSO(len(at), temperature=20.0, rescale=False), one, held=SOFTMAX),
    "dwa": Entry(lambda at: DWA(len(at), window=1), all_active),
    "dwa, as published": Entry(lambda at: DWA(len(at), window=2, temperature=0.5, rescale=False), one),
    "rlw": Entry(lambda at: RLW(len(at)), all_active, drawn=RANDOM),
    "rlw, as published": Entry(lambda at: RLW(len(at), seed=7, rescale=False), one, drawn=RANDOM),
    "geometric": Entry(lambda at: Geometric(len(at))),
    "geometric, as published": Entry(lambda at: Geometric(len(at), rescale=False)),
    "imtl-l": Entry(lambda at: IMTLL(len(at))),
    "imtl-l, from zero": Entry(lambda at: IMTLL(len(at), start="zero")),
    "famo": Entry(lambda at: FAMO(len(at)), all_active, held=SOFTMAX),
    "famo, minima": Entry(
        lambda at: FAMO(len(at), min_losses=[-FIXED[i] for i in at], rescale=False), one, held=SOFTMAX
    ),
    "stch": Entry(lambda at: STCH(len(at)), all_active),
    "stch, preference": Entry(lambda at: STCH(len(at), mu=5.0, preference=[EXPONENTS[i] for i in at], rescale=False)),
    "stch, warm-up": Entry(lambda at: STCH(len(at), mu=0.3, ideal=[-FIXED[i] for i in at], warmup=4)),
    "gradnorm": Entry(lambda at: GradNorm(len(at)), all_active),
}

each_balancer = pytest.mark.parametrize("build", [e.build for e in BALANCERS.values()], ids=BALANCERS.keys())


def each_unless(reason: Callable[[Entry], str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "build",
        [
            pytest.param(e.build, id=name, marks=[pytest.mark.skip(reason=reason(e))] if reason(e) else [])
            for name, e in BALANCERS.items()
        ],
    )


each_with_total = pytest.mark.parametrize(
    ("build", "total"), [pytest.param(e.build, e.total, id=name) for name, e in BALANCERS.items() if e.total]
)
POISON = [0.0, 7.0, torch.inf, -torch.inf, torch.nan]


def some_losses(at: Sequence[int], *, step: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    sizes = torch.logspace(-3, 3, 18, dtype=torch.float64)
    return (torch.rand(18, generator=generator, dtype=torch.float64) * sizes)[list(at)].to(dtype)


def tell(balancer: ObjectiveBalancer, at: Sequence[int], step: int, active: Tensor | None = None) -> None:
    """What the training tells after a step: losses that have moved, and norms of the weighted losses' gradients."""
    active = torch.ones(len(at), dtype=torch.bool) if active is None else active
    losses, draws = some_losses(at, step=step), some_losses(at, step=step + 1000)
    weights = balancer.effective_weights(losses, active)
    told = [
        torch.where(active, values, torch.nan) for values in (losses * (0.5 + draws / (1 + draws)), weights * draws)
    ]
    balancer.observe(active, losses=told[0], norms=told[1])


def train(
    balancer: ObjectiveBalancer, at: Sequence[int], steps: range, *, lr: float = 1e-3, active: Tensor | None = None
) -> list[Tensor]:
    """The objective of each step, with plain descent on the balancer's own parameters."""
    objectives = []
    for step in steps:
        objective = balancer(some_losses(at, step=step), active)
        objectives.append(objective.detach())
        if objective.requires_grad:
            balancer.zero_grad()
            objective.backward()
            with torch.no_grad():
                for parameter in balancer.parameters():
                    parameter -= lr * parameter.grad
        tell(balancer, at, step, active)
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


@pytest.mark.parametrize(
    "kind", [Sum, Uncertainty, RevisedUncertainty, UWSO, DWA, RLW, Geometric, IMTLL, FAMO, STCH, GradNorm]
)
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
    again = copy.deepcopy(balancer)
    assert torch.equal(balancer(losses), again(losses, torch.ones(4, dtype=torch.bool)))


@each_unless(lambda entry: entry.drawn)
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


@each_unless(lambda entry: entry.drawn)
@pytest.mark.parametrize("off", [0, 1, 4])
def test_an_inactive_task_leaves_the_training_of_the_others_alone(build, off):
    at, kept = range(5), [i for i in range(5) if i != off]
    whole, less = build(at), build(kept)
    active = torch.tensor([i != off for i in at])
    torch.testing.assert_close(train(whole, at, range(6), active=active), train(less, kept, range(6)))
    torch.testing.assert_close(
        whole.effective_weights(some_losses(at, step=9), active)[kept],
        less.effective_weights(some_losses(kept, step=9)),
    )
    assert torch.stack(train(whole, at, range(6, 12))).isfinite().all()
    assert whole.effective_weights(some_losses(at, step=20)).isfinite().all()


@each_balancer
@pytest.mark.parametrize("poison", POISON)
def test_the_loss_of_an_inactive_task_changes_nothing_after_training(build, poison):
    balancer, active = trained(build, range(4)), torch.tensor([True, False, True, True])
    results = []
    for value in (1.0, poison):
        copied, losses = copy.deepcopy(balancer), some_losses(range(4))
        losses[1] = value
        losses.requires_grad_()
        objective = copied(losses, active)
        result = [objective.detach(), *gradients(copied, objective, losses)]
        copied.observe(active, losses=losses.detach() / 2, norms=losses.detach() * 3)
        results.append([*result, *copied.state_dict().values()])
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
def test_a_step_without_an_active_task_leaves_the_state_of_a_training_alone(build):
    balancer, absent = trained(build, range(3)), torch.zeros(3, dtype=torch.bool)
    fresh = copy.deepcopy(balancer)
    balancer(torch.full((3,), torch.nan), absent)
    balancer.observe(absent, losses=torch.full((3,), torch.nan), norms=torch.full((3,), torch.nan))
    assert torch.equal(
        torch.stack(train(balancer, range(3), range(3, 6))), torch.stack(train(fresh, range(3), range(3, 6)))
    )


@each_unless(lambda entry: entry.drawn)
def test_permuting_the_tasks_changes_nothing(build):
    at = list(range(6))
    order = [3, 0, 5, 1, 4, 2]
    one, other = build(at), build([at[i] for i in order])
    torch.testing.assert_close(train(one, at, range(5)), train(other, order, range(5)))
    torch.testing.assert_close(
        one.effective_weights(some_losses(at, step=9))[order],
        other.effective_weights(some_losses(order, step=9)),
    )


@each_unless(lambda entry: entry.drawn)
def test_equal_tasks_have_equal_weights(build):
    balancer, at = build([0, 2, 0, 1]), [0, 2, 0, 1]
    train(balancer, at, range(6))
    weights = balancer.effective_weights(some_losses(at, step=9))
    torch.testing.assert_close(weights[0], weights[2])


@each_with_total
@pytest.mark.parametrize("off", [None, 0, 3])
def test_weights_keep_their_sum(build, total, off):
    balancer, active = trained(build, range(5)), torch.tensor([i != off for i in range(5)])
    weights = balancer.effective_weights(some_losses(range(5), step=9), active)
    torch.testing.assert_close(weights.sum().item(), float(total(int(active.sum()))), rtol=1e-5, atol=0)
    assert off is None or weights[off] == 0


@each_balancer
def test_a_step_is_learned_from_once(build):
    balancer = trained(build, range(4))
    before = copy.deepcopy(balancer.state_dict())
    tell(balancer, range(4), 7)
    assert all(torch.equal(before[key], value) for key, value in balancer.state_dict().items())


@each_balancer
def test_evaluation_moves_no_state(build):
    balancer = trained(build, range(4))
    balancer(some_losses(range(4)))  # a step whose outcome is told too late
    before = copy.deepcopy(balancer.state_dict())
    balancer.eval()
    for step in range(5):
        balancer(some_losses(range(4), step=step))
        tell(balancer, range(4), step)
    fresh = build(range(4)).eval()
    fresh(some_losses(range(4)))
    for one, other in ((before, balancer.state_dict()), (build(range(4)).state_dict(), fresh.state_dict())):
        assert all(torch.equal(one[key], other[key]) for key in one)


@each_unless(lambda entry: entry.held)
def test_effective_weights_equal_differences_of_the_objective(build):
    balancer, at = trained(build, range(5)), range(5)
    active = torch.tensor([True, True, False, True, True])
    weights = balancer.effective_weights(some_losses(at), active)
    assert weights.shape == (5,)
    assert weights.dtype == torch.float32
    exact = copy.deepcopy(balancer).double().eval()
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

    assert not balancer.first.seen.any()
    assert torch.equal(balancer.log_variance, torch.zeros(2))
    assert balancer.training
