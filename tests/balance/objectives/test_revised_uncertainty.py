import math

import pytest
import torch

from trunkline.balance.objectives.revised_uncertainty import RevisedUncertainty
from trunkline.errors import UserError


def test_from_zero_against_numbers():
    balancer, losses = RevisedUncertainty(2, start="zero"), torch.tensor([1.0, 10.0])
    assert balancer(losses).item() == pytest.approx(11 + 2 * math.log(2))
    assert balancer.effective_weights(losses).tolist() == [1.0, 1.0]
    assert balancer.sigma().tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("loss", "variance"), [(0.5, 1.0), (4 / 3, 2.0), (0.1, (0.1 + math.sqrt(0.41)) / 2)])
def test_the_best_variance_is_the_closed_form(loss, variance):
    balancer = RevisedUncertainty(1)
    balancer(torch.tensor([loss]))
    assert balancer.log_variance.exp().item() == pytest.approx(variance, rel=1e-5)


@pytest.mark.parametrize("exponent", [1.0, 0.5, 2.0])
def test_it_starts_at_its_minimum_for_the_first_losses(exponent):
    balancer = RevisedUncertainty(6, exponents=[exponent] * 6).double()
    balancer(torch.tensor([1e-2, 0.2, 1.0, 3.0, 20.0, 70.0], dtype=torch.float64))
    losses = torch.tensor([1e-2, 0.2, 1.0, 3.0, 20.0, 70.0], dtype=torch.float64)
    slope = torch.autograd.grad(balancer(losses), balancer.log_variance)[0]
    torch.testing.assert_close(slope, torch.zeros(6, dtype=torch.float64), atol=1e-9, rtol=0)


def test_the_gaussian_form_is_the_papers():
    """1/(2σ²)·(squared error) + ln(1 + σ²), each loss here with its half."""
    sigma = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    errors = torch.tensor([0.1, 2.0, 30.0], dtype=torch.float64, requires_grad=True)
    paper = (errors / (2 * sigma**2) + torch.log(1 + sigma**2)).sum()
    of_errors, of_sigma = torch.autograd.grad(paper, [errors, sigma])

    balancer = RevisedUncertainty(3, start="zero").double()
    with torch.no_grad():
        balancer.log_variance.copy_(2 * sigma.log())
    ours = balancer(errors / 2)
    torch.testing.assert_close(ours, paper)
    mine, of_s = torch.autograd.grad(ours, [errors, balancer.log_variance])
    torch.testing.assert_close(mine, of_errors)
    torch.testing.assert_close(of_s * 2 / sigma, of_sigma)  # s = 2·log σ


def test_the_objective_stays_above_zero():
    balancer = RevisedUncertainty(2)
    optimizer = torch.optim.SGD(balancer.parameters(), lr=0.5)
    for _ in range(500):
        optimizer.zero_grad()
        objective = balancer(torch.tensor([1e-3, 5.0]))
        objective.backward()
        optimizer.step()
        assert objective > 0


@pytest.mark.parametrize("loss", [0.0, -1.0, torch.inf, torch.nan, 1e-30, 1e30])
def test_any_first_loss_is_survived(loss):
    balancer = RevisedUncertainty(2)
    balancer(torch.tensor([loss, 1.0]))
    assert balancer.first.seen.tolist() == [0 < loss < torch.inf, True]
    losses = torch.tensor([2.0, 1.0])
    assert balancer(losses).isfinite()
    assert balancer.effective_weights(losses).isfinite().all()


def test_a_later_loss_or_a_loaded_state_does_not_start_it_again():
    balancer = RevisedUncertainty(2)
    balancer(torch.tensor([0.5, 4 / 3]))
    before = balancer.log_variance.tolist()
    fresh = RevisedUncertainty(2)
    fresh.load_state_dict(balancer.state_dict())
    for again in (balancer, fresh):
        again(torch.tensor([99.0, 99.0]))
        assert again.log_variance.tolist() == before


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match="3 tasks need 3 exponents, got 1"):
        RevisedUncertainty(3, exponents=[1.0])
    with pytest.raises(UserError, match=r"exponents \[1.0, 0.0\]: each must be above 0"):
        RevisedUncertainty(2, exponents=[1.0, 0.0])
    with pytest.raises(UserError, match="start 'one': it is 'loss' or 'zero'"):
        RevisedUncertainty(3, start="one")


def test_a_scale_that_ran_off_weighs_no_more_than_the_bound_and_comes_back():
    balancer = RevisedUncertainty(2, start="zero")
    with torch.no_grad():
        balancer.log_variance.copy_(-torch.tensor([50.0, -50.0]))
    losses = torch.ones(2)
    torch.testing.assert_close(balancer.effective_weights(losses), torch.tensor([10.0, -10.0]).exp())
    balancer(losses).backward()
    assert (-balancer.log_variance.grad).sign().tolist() == [1.0, -1.0]  # descent leads back
