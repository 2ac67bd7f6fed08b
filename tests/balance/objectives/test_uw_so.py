import math

import pytest
import torch

from trunkline.balance.objectives.uw_so import UWSO
from trunkline.errors import UserError


def test_against_numbers():
    losses = torch.tensor([1.0, 0.5])
    share = 1 / (1 + math.e)  # softmax of 1/1 and 1/0.5
    assert UWSO(2, rescale=False).effective_weights(losses).tolist() == pytest.approx([share, 1 - share])
    assert UWSO(2).effective_weights(losses).tolist() == pytest.approx([2 * share, 2 * (1 - share)])
    assert UWSO(2, rescale=False)(losses).item() == pytest.approx(share + 0.5 * (1 - share))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 20.0])
def test_value_and_gradient_are_the_papers_formula(temperature):
    losses = (torch.rand(7, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.05).requires_grad_()
    exponentials = [math.exp(1 / (temperature * loss)) for loss in losses.tolist()]
    paper = sum(e / sum(exponentials) * loss for e, loss in zip(exponentials, losses, strict=True))
    ours = UWSO(7, temperature=temperature, rescale=False)(losses)
    torch.testing.assert_close(ours, paper)
    torch.testing.assert_close(*(torch.autograd.grad(value, losses)[0] for value in (ours, paper)))


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e3, 1e30])
def test_any_scale_gives_finite_weights(scale):
    weights = UWSO(3).effective_weights(torch.tensor([1.0, 2.0, 3.0]) * scale)
    assert weights.sum().item() == pytest.approx(3)


def test_a_loss_at_0_takes_all_the_weight_and_large_ones_share_it():
    assert UWSO(2).effective_weights(torch.tensor([0.0, 1.0])).tolist() == [2.0, 0.0]
    torch.testing.assert_close(UWSO(2).effective_weights(torch.tensor([1e4, 1e5])), torch.ones(2), rtol=1e-3, atol=0)


def test_impossible_settings_and_losses_are_refused():
    with pytest.raises(UserError, match=r"temperature 0.0: it must be above 0"):
        UWSO(2, temperature=0.0)
    with pytest.raises(UserError, match=r"uw_so needs the loss of task number 1 .* it is -0.5"):
        UWSO(2)(torch.tensor([1.0, -0.5]))
