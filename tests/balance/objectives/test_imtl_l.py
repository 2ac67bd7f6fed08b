import pytest
import torch
from torchjd.scalarization import IMTLL as TheirIMTLL

from trunkline.balance import Uncertainty
from trunkline.balance.objectives.imtl_l import IMTLL
from trunkline.errors import UserError


def test_value_and_gradients_are_torchjds():
    ours, theirs = IMTLL(4, start="zero"), TheirIMTLL(4)
    with torch.no_grad():
        for scales in (ours.log_scale, theirs.log_scale):
            scales.copy_(torch.tensor([-3.0, 0.0, 0.5, 8.0]))
    losses = torch.tensor([100.0, 1.0, 0.2, 1e-3], requires_grad=True)
    one, other = ours(losses), theirs(losses)
    torch.testing.assert_close(one, other)
    for mine, its in zip(
        torch.autograd.grad(one, [losses, ours.log_scale]),
        torch.autograd.grad(other, [losses, theirs.log_scale]),
        strict=True,
    ):
        torch.testing.assert_close(mine, its)


def test_it_starts_with_every_weighted_loss_at_1():
    balancer, losses = IMTLL(3), torch.tensor([0.02, 1.0, 50.0])
    balancer(losses)
    torch.testing.assert_close(balancer.effective_weights(losses) * losses, torch.ones(3))
    slope = torch.autograd.grad(balancer(losses), balancer.log_scale)[0]
    torch.testing.assert_close(slope, torch.zeros(3), atol=1e-6, rtol=0)


def test_it_is_twice_plain_uncertainty_at_both_starts():
    losses = torch.tensor([0.3, 2.0, 40.0])
    ours, kendall = IMTLL(3), Uncertainty(3)
    torch.testing.assert_close(ours(losses), losses.log().sum() + 3)
    kendall(losses)
    torch.testing.assert_close(ours.effective_weights(losses), 2 * kendall.effective_weights(losses))


@pytest.mark.parametrize("loss", [0.0, -1.0, torch.inf, torch.nan, 1e-30, 1e30])
def test_any_first_loss_is_survived(loss):
    balancer = IMTLL(2)
    balancer(torch.tensor([loss, 1.0]))
    assert balancer(torch.tensor([2.0, 1.0])).isfinite()
    assert balancer.effective_weights(torch.tensor([2.0, 1.0])).isfinite().all()


def test_a_start_that_is_none_is_refused():
    with pytest.raises(UserError, match="start 'one': it is 'loss' or 'zero'"):
        IMTLL(3, start="one")


def test_a_scale_that_ran_off_weighs_no_more_than_the_bound_and_comes_back():
    balancer = IMTLL(2, start="zero")
    with torch.no_grad():
        balancer.log_scale.copy_(torch.tensor([50.0, -50.0]))
    losses = torch.ones(2)
    torch.testing.assert_close(balancer.effective_weights(losses), torch.tensor([10.0, -10.0]).exp())
    balancer(losses).backward()
    assert (balancer.log_scale.grad).sign().tolist() == [1.0, -1.0]  # descent leads back
