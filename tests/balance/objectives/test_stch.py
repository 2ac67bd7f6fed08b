import pytest
import torch
from torchjd.scalarization import STCH as TheirSTCH

from trunkline.balance.objectives.stch import STCH
from trunkline.errors import UserError

LOSSES = torch.tensor([0.3, 2.0, 5.0, 1.0])


def compare(one, other, losses, scale=1.0):
    torch.testing.assert_close(one, other * scale)
    slopes = [torch.autograd.grad(value, losses)[0] for value in (one, other)]
    torch.testing.assert_close(slopes[0], slopes[1] * scale)


@pytest.mark.parametrize("mu", [0.01, 1.0, 30.0])
def test_value_and_gradient_are_torchjds(mu):
    losses, ideal = LOSSES.clone().requires_grad_(), [0.0, 1.0, -2.0, 0.5]
    preference = torch.tensor([1.0, 2.0, 0.5, 4.5])
    ours = STCH(4, mu=mu, preference=preference.tolist(), ideal=ideal, rescale=False)
    theirs = TheirSTCH(mu, weights=preference / 2, reference=torch.tensor(ideal))  # ours have a mean of 1
    compare(ours(losses), theirs(losses), losses)


def test_the_papers_scale_is_that_of_mu_times_the_number_of_tasks():
    """With λ = 1/A, as the paper has it and torchjd by default."""
    losses = LOSSES.clone().requires_grad_()
    compare(STCH(4, mu=4 * 0.5, rescale=False)(losses), TheirSTCH(0.5)(losses), losses, scale=4.0)


def test_against_numbers():
    losses = torch.tensor([0.0, 1.0])
    assert STCH(2)(losses).item() == pytest.approx(2 * 1.3132617)  # 2·log(1 + e)
    assert STCH(2).effective_weights(losses).tolist() == pytest.approx([2 * 0.2689414, 2 * 0.7310586])
    assert STCH(1)(torch.tensor([7.0])).item() == pytest.approx(7.0)


def test_as_mu_falls_the_worst_task_takes_all():
    assert STCH(4, mu=1e-4).effective_weights(LOSSES).tolist() == [0.0, 0.0, 4.0, 0.0]
    assert STCH(4, mu=1e-4, rescale=False)(LOSSES).item() == pytest.approx(5.0)
    distant = STCH(4, mu=1e-4, ideal=[0.0, 0.0, 4.9, 0.0])
    assert distant.effective_weights(LOSSES).tolist() == [0.0, 4.0, 0.0, 0.0]


@pytest.mark.parametrize("scale", [1e-30, 1e6, 1e30])
def test_any_scale_is_finite(scale):
    losses = LOSSES * scale
    assert STCH(4, mu=0.01)(losses).isfinite()
    assert STCH(4, mu=0.01).effective_weights(losses).sum().item() == pytest.approx(4.0)


def test_after_the_warm_up_it_is_the_authors_multi_task_form():
    """A·μ·log Σ exp(log(L/n)/μ), n the mean loss of the warm-up."""
    balancer, generator = STCH(4, mu=0.5, warmup=3), torch.Generator().manual_seed(0)
    steps = torch.rand(6, 4, generator=generator) * torch.tensor([1e-3, 1.0, 50.0, 1e4]) + 1e-4
    nadir = steps[:3].double().mean(0)
    for i, losses in enumerate(steps):
        value = balancer(losses)
        if i >= 3:
            exact = losses.double().requires_grad_()
            paper = 4 * 0.5 * ((exact / nadir).log() / 0.5).exp().sum().log()
            torch.testing.assert_close(value.double(), paper, rtol=1e-4, atol=1e-4)
            slope = torch.autograd.grad(paper, exact)[0]
            torch.testing.assert_close(balancer.effective_weights(losses).double(), slope, rtol=1e-3, atol=0)
    torch.testing.assert_close(balancer.sums.double() / 3, nadir, rtol=1e-5, atol=0)


def test_the_first_step_of_a_warm_up_descends_on_the_sum_of_the_logarithms():
    balancer = STCH(4, warmup=5)
    balancer(LOSSES)
    torch.testing.assert_close(balancer.effective_weights(LOSSES), 1 / LOSSES)


def test_each_task_has_a_warm_up_of_its_own():
    balancer = STCH(2, warmup=2)
    for losses, active in (([4.0, torch.nan], [True, False]), ([2.0, 6.0], [True, True]), ([9.0, 2.0], [True, True])):
        balancer(torch.tensor(losses), torch.tensor(active))
    assert balancer.counts.tolist() == [2, 2]
    assert balancer.sums.tolist() == [6.0, 8.0]


def test_impossible_settings_and_losses_are_refused():
    with pytest.raises(UserError, match="mu 0: it must be above 0"):
        STCH(2, mu=0)
    with pytest.raises(UserError, match="warmup -1: it must be 0 steps or more"):
        STCH(2, warmup=-1)
    with pytest.raises(UserError, match="2 tasks need 2 numbers as preference, got 3"):
        STCH(2, preference=[1.0, 1.0, 1.0])
    with pytest.raises(UserError, match=r"preference \[1.0, 0.0\]: each must be finite and above 0"):
        STCH(2, preference=[1.0, 0.0])
    with pytest.raises(UserError, match=r"ideal \[1.0, inf\]: each must be finite"):
        STCH(2, ideal=[1.0, float("inf")])
    with pytest.raises(UserError, match=r"stch with a warm-up needs the loss of task number 0 .* it is -1"):
        STCH(2, warmup=1)(torch.tensor([-1.0, 1.0]))
    assert STCH(2)(torch.tensor([-1.0, 1.0])).isfinite()
