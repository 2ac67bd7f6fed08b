"""The contract of objectives."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from trunkline.balance.base import ObjectiveBalancer

Build = Callable[[int], ObjectiveBalancer]


def check_objective(build: Build) -> None:
    """Hold an objective balancer to its contract.

    Args:
        build: from T, the number of tasks, to a fresh balancer.

    Raises:
        AssertionError: a property that does not hold.
    """
    before = torch.get_rng_state()
    for tasks in (1, 2, 5):
        _gives_one_finite_number(build(tasks), tasks)
        _leaves_inactive_tasks_out(build(tasks), tasks)
        _tells_its_weights_without_a_change(build(tasks), tasks)
        _goes_on_from_its_state(build, tasks)
    assert torch.equal(torch.get_rng_state(), before), "torch's global generator was used"


def losses_at(step: int, tasks: int) -> Tensor:
    """Losses `[T]` above 0 that fall and differ, the same each time."""
    draw = torch.rand(tasks, generator=torch.Generator().manual_seed(step))
    return (0.3 + draw) * torch.logspace(0, 1, tasks) / (1 + 0.2 * step)


def _step(balancer: ObjectiveBalancer, losses: Tensor, active: Tensor) -> Tensor:
    objective: Tensor = balancer(losses, active)
    with torch.no_grad():
        balancer.observe(active, losses=0.9 * losses, norms=losses)
    return objective.detach()


def _gives_one_finite_number(balancer: ObjectiveBalancer, tasks: int) -> None:
    losses = losses_at(0, tasks).requires_grad_()
    objective = balancer(losses)
    assert objective.shape == (), f"the objective of {tasks} losses has shape {tuple(objective.shape)}, not []"
    assert objective.isfinite(), f"the objective of finite losses is {objective.item()}"
    (weights,) = torch.autograd.grad(objective, losses)
    assert weights.isfinite().all(), f"effective weights {weights.tolist()} are not finite"


def _leaves_inactive_tasks_out(balancer: ObjectiveBalancer, tasks: int) -> None:
    if tasks == 1:
        return
    active = torch.ones(tasks, dtype=torch.bool)
    active[-1] = False
    found = []
    for absent in (0.5, 1e6, float("nan")):
        losses = losses_at(1, tasks)
        losses[-1] = absent
        found.append(balancer.evaluate(losses, active))
    for objective, weights in found:
        assert torch.equal(objective, found[0][0]), "the loss of a task without an observed row moved the objective"
        assert weights[-1] == 0, "a task without an observed row has a weight"


def _tells_its_weights_without_a_change(balancer: ObjectiveBalancer, tasks: int) -> None:
    active = torch.ones(tasks, dtype=torch.bool)
    _step(balancer, losses_at(0, tasks), active)
    before = copy.deepcopy(balancer.state_dict())
    balancer.effective_weights(losses_at(1, tasks))
    after = balancer.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "effective_weights changed the state"


def _goes_on_from_its_state(build: Build, tasks: int) -> None:
    balancer, active = build(tasks), torch.ones(tasks, dtype=torch.bool)
    for step in range(4):
        _step(balancer, losses_at(step, tasks), active)
    fresh = build(tasks)
    fresh.load_state_dict(copy.deepcopy(balancer.state_dict()))
    for step in range(4, 8):
        one, other = (_step(each, losses_at(step, tasks), active) for each in (balancer, fresh))
        assert torch.equal(one, other), f"a fresh instance with the same state_dict parts from it at step {step}"
