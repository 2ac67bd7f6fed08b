import pytest
import torch
from torchjd.scalarization import GeometricMean

from trunkline.balance.objectives.geometric import Geometric
from trunkline.errors import UserError


def test_against_numbers():
    losses = torch.tensor([1.0, 4.0, 16.0])
    assert Geometric(3, rescale=False)(losses).item() == pytest.approx(4.0)
    assert Geometric(3)(losses).item() == pytest.approx(12.0)
    assert Geometric(3).effective_weights(losses).tolist() == pytest.approx([4.0, 1.0, 0.25])
    assert Geometric(3, rescale=False).effective_weights(losses).tolist() == pytest.approx([4 / 3, 1 / 3, 1 / 12])


def test_value_and_gradient_are_torchjds():
    losses = (torch.rand(6, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 6)).requires_grad_()
    values = Geometric(6, rescale=False)(losses), GeometricMean()(losses)
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value, losses)[0] for value in values))


def test_losses_whose_product_overflows_have_a_mean():
    assert Geometric(4, rescale=False)(torch.full((4,), 1e30)).item() == pytest.approx(1e30, rel=1e-5)


def test_the_scale_of_a_loss_moves_the_length_of_the_direction_only():
    losses, scales = torch.tensor([0.3, 2.0, 5.0]), torch.tensor([10.0, 0.1, 3.0])
    plain = Geometric(3).effective_weights(losses)
    scaled = Geometric(3).effective_weights(losses * scales) * scales  # with respect to the losses before scaling
    torch.testing.assert_close(scaled / plain, torch.full((3,), 3.0 ** (1 / 3)))


def test_a_loss_of_0_is_left_out():
    losses = torch.tensor([4.0, 0.0, 16.0])
    assert Geometric(3)(losses).item() == pytest.approx(16.0)
    assert Geometric(3).effective_weights(losses).tolist() == pytest.approx([2.0, 0.0, 0.5])
    assert Geometric(2)(torch.zeros(2)) == 0
    assert Geometric(2).effective_weights(torch.zeros(2)).tolist() == [0.0, 0.0]


def test_a_loss_below_0_is_refused():
    with pytest.raises(UserError, match=r"geometric needs the loss of task number 0 .* it is -1"):
        Geometric(2)(torch.tensor([-1.0, 1.0]))
