import pytest
import torch
from torchjd.scalarization import FAMO as TheirFAMO

from trunkline.balance.objectives.famo import FAMO
from trunkline.errors import UserError

BOTH = torch.ones(2, dtype=torch.bool)


def test_the_first_weights_against_numbers():
    losses = torch.tensor([1.0, 4.0])
    # c = 1/(½·1 + ½·¼) = 1.6, times z/L = (½, ⅛)
    assert FAMO(2, rescale=False).effective_weights(losses).tolist() == pytest.approx([0.8, 0.2])
    assert FAMO(2).effective_weights(losses).tolist() == pytest.approx([1.6, 0.4])
    assert FAMO(2, min_losses=[0.5, 3.5]).effective_weights(losses).tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("minima", [None, [0.0, -1.0, 1e-4, -5.0]])
def test_a_run_is_torchjds(minima):
    ours = FAMO(4, min_losses=minima, rescale=False)
    theirs = TheirFAMO(4, min_losses=None if minima is None else torch.tensor(minima))
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        losses = torch.rand(4, generator=generator) * torch.tensor([1e-2, 1.0, 5.0, 1e3]) + 1e-3
        losses.requires_grad_()
        one, other = ours(losses), theirs(losses)
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(*(torch.autograd.grad(value, losses)[0] for value in (one, other)))
        after = losses.detach() * torch.rand(4, generator=generator)
        ours.observe(torch.ones(4, dtype=torch.bool), losses=after)
        theirs.update(after)
        torch.testing.assert_close(ours.logits, theirs.state_dict()["_w"], rtol=1e-4, atol=1e-5)


def test_the_first_update_follows_the_papers_gradient():
    """Jᵀ·(log before - log after) by autograd in float64; Adam's first step is its sign, lr long."""
    balancer = FAMO(3, lr=0.1)
    balancer(torch.tensor([4.0, 2.0, 1.0]))
    balancer.observe(torch.ones(3, dtype=torch.bool), losses=torch.tensor([1.0, 1.9, 1.1]))
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    fallen = torch.tensor([4.0 / 1.0, 2.0 / 1.9, 1.0 / 1.1], dtype=torch.float64).log()
    slope = torch.autograd.grad(logits.softmax(0) @ fallen, logits)[0]
    torch.testing.assert_close(balancer.adam.first.double(), 0.1 * slope, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(balancer.logits, -0.1 * slope.sign().float())


def test_only_tasks_seen_before_and_after_move_and_one_step_moves_them_once():
    balancer = FAMO(3)
    balancer(torch.tensor([2.0, torch.nan, 2.0]), torch.tensor([True, False, True]))
    balancer.observe(torch.tensor([True, True, False]), losses=torch.tensor([1.0, 1.0, torch.nan]))
    assert balancer.adam.updates.tolist() == [1, 0, 0]
    balancer.observe(torch.ones(3, dtype=torch.bool), losses=torch.ones(3))
    assert balancer.adam.updates.tolist() == [1, 0, 0]


def test_losses_that_are_no_numbers_leave_the_logits_alone():
    balancer = FAMO(2)
    balancer(torch.tensor([1.0, torch.inf]))
    balancer.observe(BOTH, losses=torch.tensor([torch.nan, 1.0]))
    assert balancer.logits.tolist() == [0.0, 0.0]


def test_both_losses_come_to_fall_at_the_same_rate():
    """½·x² and ½·y², from places where equal weights of the logarithms make one fall 100 times as fast."""

    def rates(lr):
        balancer, places = FAMO(2, lr=lr, decay=0, rescale=False), torch.tensor([1.0, 10.0], requires_grad=True)
        for _ in range(800):
            before = 0.5 * places.detach() ** 2
            objective = balancer(0.5 * places**2)
            slope = torch.autograd.grad(objective, places)[0]
            with torch.no_grad():
                places -= 1e-3 * slope
            balancer.observe(BOTH, losses=0.5 * places.detach() ** 2)
        return (before / (0.5 * places.detach() ** 2)).log()

    fast, other = rates(1e-9)
    assert fast > 100 * other
    fast, other = rates(0.025)
    assert fast.item() == pytest.approx(other.item(), rel=0.15)


def test_impossible_settings_and_losses_are_refused():
    with pytest.raises(UserError, match="lr 0: it must be above 0"):
        FAMO(2, lr=0)
    with pytest.raises(UserError, match="decay -1: it must be 0 or more"):
        FAMO(2, decay=-1)
    with pytest.raises(UserError, match="2 tasks need 2 min_losses, got 1"):
        FAMO(2, min_losses=[0.0])
    with pytest.raises(UserError, match=r"min_losses \[0.0, nan\]: each must be finite"):
        FAMO(2, min_losses=[0.0, float("nan")])
    with pytest.raises(UserError, match=r"famo needs the loss of task number 1 .* 0.5 or more, it is 0.25"):
        FAMO(2, min_losses=[0.0, 0.5])(torch.tensor([1.0, 0.25]))
    with pytest.raises(UserError, match="FAMO needs losses after each step"):
        FAMO(2).observe(BOTH)
