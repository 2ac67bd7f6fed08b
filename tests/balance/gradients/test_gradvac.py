import copy
import math

import pytest
import torch
from torchjd.aggregation import GradVacWeighting, PCGradWeighting

from trunkline.balance.gradients.gradvac import GradVac
from trunkline.errors import UserError


def _gramian(tasks, width, seed, conflict=0.5):
    jacobian = torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    jacobian[1:] -= conflict * jacobian[0]
    gramian = jacobian @ jacobian.T
    return gramian / gramian.diagonal().max()


def _permutations(tasks, generator):
    """Orders of the others `[T - 1]` as torchjd draws them, and of all tasks as ours are given."""
    theirs = [torch.randperm(tasks - 1, generator=generator) for _ in range(tasks)]
    others = [[j for j in range(tasks) if j != i] for i in range(tasks)]
    return theirs, [[*(others[i][k] for k in order.tolist()), i] for i, order in enumerate(theirs)]


@pytest.mark.parametrize("tasks", [2, 5, 16])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("width", [3, 40])
def test_is_torchjds_step_after_step(tasks, beta, width, monkeypatch):
    generator, theirs = torch.Generator().manual_seed(0), GradVacWeighting(beta=beta, eps=0.0)
    targets = [[0.0] * tasks for _ in range(tasks)]
    draw = torch.randperm
    for seed in range(6):
        gramian = _gramian(tasks, width, seed)
        monkeypatch.setattr(torch, "randperm", draw)
        drawn, orders = _permutations(tasks, generator)
        pending = iter(drawn)
        monkeypatch.setattr(torch, "randperm", lambda *_, pending=pending, **__: next(pending))
        expected = theirs(gramian)
        weights = GradVac.correct(gramian.tolist(), targets, orders, beta)
        torch.testing.assert_close(torch.tensor(weights, dtype=torch.float64), expected, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(torch.tensor(targets, dtype=torch.float64), theirs._phi_t, rtol=1e-7, atol=1e-7)


def test_targets_are_kept_in_full_precision():
    balancer = GradVac(2, beta=1.0)
    balancer(torch.tensor([[1.0, 0.1], [0.1, 1.0]], dtype=torch.float64))
    rounding = 4 * torch.finfo(torch.float64).eps  # of two roots, a product and a quotient
    torch.testing.assert_close(
        balancer.targets, torch.tensor([[0.0, 0.1], [0.1, 0.0]], dtype=torch.float64), rtol=rounding, atol=0
    )


def test_with_beta_0_it_is_pcgrad(monkeypatch):
    """Targets stay 0, and turning a gradient to a cosine of 0 is projecting it."""
    gramian, generator = _gramian(5, 9, 0), torch.Generator().manual_seed(1)
    orders = [torch.randperm(5, generator=generator) for _ in range(5)]
    targets = [[0.0] * 5 for _ in range(5)]
    weights = GradVac.correct(gramian.tolist(), targets, [order.tolist() for order in orders], 0.0)
    pending = iter(orders)
    monkeypatch.setattr(torch, "randperm", lambda *_, **__: next(pending))
    torch.testing.assert_close(torch.tensor(weights, dtype=torch.float64), PCGradWeighting()(gramian))


def test_a_correction_reaches_the_target_cosine():
    gramian = torch.tensor([[1.0, -0.3], [-0.3, 4.0]], dtype=torch.float64)
    targets = [[0.0, 0.6], [-1.0, 0.0]]
    weights = torch.tensor(GradVac.correct(gramian.tolist(), targets, [[1], [0]], 0.5), dtype=torch.float64)
    corrected = torch.tensor([1.0, float(weights[1]) - 1.0], dtype=torch.float64)  # g_0 + step·g_1; g_1 stays
    cosine = (gramian @ corrected)[1] / (corrected @ gramian @ corrected).sqrt() / 2.0
    assert float(cosine) == pytest.approx(0.6)
    assert targets[0][1] == pytest.approx(0.5 * 0.6 + 0.5 * -0.15)
    assert weights[0] == 1.0


def test_targets_of_absent_tasks_stay():
    balancer = GradVac(4)
    for seed in range(3):
        balancer(_gramian(4, 9, seed))
    before = balancer.targets.clone()
    balancer(_gramian(2, 9, 5), [3, 1])
    changed = torch.zeros(4, 4, dtype=torch.bool)
    changed[3, 1] = changed[1, 3] = True
    assert torch.equal(balancer.targets != before, changed)


def test_an_active_subset_is_the_problem_without_the_others():
    whole, alone = GradVac(4), GradVac(2)
    for seed in range(4):
        gramian = _gramian(2, 9, seed)
        assert torch.equal(whole(gramian, [3, 1]), alone(gramian))


def test_a_task_without_gradient_keeps_its_targets():
    balancer = GradVac(3)
    balancer(_gramian(3, 9, 0))
    before = balancer.targets.clone()
    gramian = _gramian(3, 9, 1)
    gramian[1] = gramian[:, 1] = 0
    weights = balancer(gramian)
    assert weights.isfinite().all()
    assert torch.equal(balancer.targets[1], before[1])
    assert torch.equal(balancer.targets[:, 1], before[:, 1])


def test_targets_of_1_ask_for_no_endless_correction():
    balancer = GradVac(2)
    for _ in range(60):
        balancer(torch.ones(2, 2))
    weights = balancer(torch.tensor([[1.0, -0.9], [-0.9, 1.0]]))
    assert weights.isfinite().all()


def test_the_state_round_trips():
    balancer, fresh = GradVac(3, seed=2), GradVac(3, seed=2)
    for seed in range(3):
        balancer(_gramian(3, 9, seed))
    fresh.load_state_dict(copy.deepcopy(balancer.state_dict()))
    assert torch.equal(fresh.targets, balancer.targets)
    assert fresh.draws == 3
    assert torch.equal(fresh(_gramian(3, 9, 7)), balancer(_gramian(3, 9, 7)))


@pytest.mark.parametrize("beta", [-0.1, 1.1, math.nan])
def test_a_beta_out_of_range_is_refused(beta):
    with pytest.raises(UserError, match="gradvac's beta must be from 0 to 1, got"):
        GradVac(2, beta=beta)


def test_more_tasks_than_it_was_made_for_are_refused():
    with pytest.raises(UserError, match="gradvac was made for 2 tasks, and got task number 3"):
        GradVac(2)(torch.eye(3))
    with pytest.raises(UserError, match="at least one task"):
        GradVac(0)
