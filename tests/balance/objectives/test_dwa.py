import pytest
import torch
from torchjd.scalarization import DWA as TheirDWA

from trunkline.balance.objectives.dwa import DWA
from trunkline.errors import UserError

ALL = torch.ones(2, dtype=torch.bool)


@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("temperature", [0.2, 2.0])
def test_a_run_is_torchjds(window, temperature):
    ours, theirs = DWA(4, window=window, temperature=temperature), TheirDWA(temperature=temperature)
    generator = torch.Generator().manual_seed(3)
    for step in range(1, 31):
        losses = torch.rand(4, generator=generator) * torch.tensor([1e-2, 1.0, 5.0, 1e3])
        losses.requires_grad_()
        one, other = ours(losses), theirs(losses)
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(*(torch.autograd.grad(value, losses)[0] for value in (one, other)))
        if step % window == 0:
            theirs.step()


def test_against_numbers():
    balancer = DWA(2, window=2)
    for losses in ([3.0, 1.0], [5.0, 1.0], [2.5, 2.0], [1.5, 0.0]):
        assert balancer.effective_weights(torch.tensor(losses)).tolist() == [1.0, 1.0]
        balancer(torch.tensor(losses))
    assert balancer.means.tolist() == [[4.0, 1.0], [2.0, 1.0]]
    expected = 2 * torch.tensor([0.5 / 2, 1.0 / 2]).softmax(0)
    torch.testing.assert_close(balancer.effective_weights(torch.ones(2)), expected)


def test_a_task_that_pauses_keeps_its_last_two_means():
    balancer = DWA(2, window=2)
    for losses, active in (
        ([4.0, 8.0], ALL),
        ([4.0, 99.0], torch.tensor([True, False])),
        ([2.0, 4.0], ALL),
        ([2.0, 4.0], ALL),
        ([1.0, torch.nan], torch.tensor([True, False])),
        ([1.0, torch.nan], torch.tensor([True, False])),
    ):
        balancer(torch.tensor(losses), active)
    assert balancer.means.tolist() == [[2.0, 8.0], [1.0, 4.0]]


@pytest.mark.parametrize("second", [0.0, -1.0, torch.inf, torch.nan])
def test_means_without_a_ratio_count_as_a_loss_that_stands_still(second):
    balancer, still = DWA(2, window=1), DWA(2, window=1)
    for losses in ([4.0, 1.0], [2.0, second], [1.0, second]):
        balancer(torch.tensor(losses))
    for losses in ([4.0, 1.0], [2.0, 1.0], [1.0, 1.0]):
        still(torch.tensor(losses))
    weights = (one.effective_weights(torch.ones(2)) for one in (balancer, still))
    torch.testing.assert_close(*weights)


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match=r"temperature -1.0: it must be above 0"):
        DWA(2, temperature=-1.0)
    with pytest.raises(UserError, match="window 0: it must be 1 step or more"):
        DWA(2, window=0)
