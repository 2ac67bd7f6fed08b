import pytest
import torch
from torchjd import aggregation

from trunkline.balance import ExcessMTL
from trunkline.errors import UserError


def _random(tasks, width, seed=0):
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("step_size", [0.01, 1.0])
@pytest.mark.parametrize("rescale", [True, False])
def test_a_run_is_torchjds(step_size, rescale):
    """Theirs with one warm-up step, whose excess risk is the baseline; ours sums to T unless `rescale=False`."""
    ours = ExcessMTL(4, 6, step_size=step_size, rescale=rescale).double()
    theirs = aggregation.ExcessMTL(robust_step_size=step_size, n_warmup_steps=1)
    for step in range(15):
        jacobian = _random(4, 6, step) * torch.tensor([[0.01], [1.0], [1.0], [50.0]], dtype=torch.float64)
        expected = theirs(jacobian) * (4 if rescale else 1)
        torch.testing.assert_close(ours(jacobian), expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(ours.weights, ours.weights.mean())


def test_the_first_two_steps_against_numbers():
    """S = g², then g² + g'²; excess Σ g²/√(S + 1e-7): (1, 2), then (4/√5, 1/√5 relative to 2) by the same formula."""
    balancer = ExcessMTL(2, 1, step_size=1.0, rescale=False).double()
    first = balancer(torch.tensor([[1.0], [2.0]], dtype=torch.float64))
    assert first.item() == pytest.approx(1.5)
    balancer(torch.tensor([[2.0], [1.0]], dtype=torch.float64))
    relative = torch.tensor([4 / 5**0.5, 1 / 5**0.5 / 2], dtype=torch.float64)
    torch.testing.assert_close(balancer.weights, relative.softmax(0), rtol=1e-6, atol=1e-6)


def test_a_task_far_from_its_optimum_gains_weight_for_good():
    balancer = ExcessMTL(2, 3, step_size=0.1)
    jacobian = _random(2, 3).float()
    for k in range(1, 2000):
        balancer(jacobian * torch.tensor([[1.0], [1.0 / k]]))
    assert balancer.weights[0] > 1.9
    assert balancer.log_mixture.isfinite().all()


def test_a_task_seldom_seen_keeps_its_share():
    """Two tasks alike but for how often they are there, in the end with equal excess risks."""
    balancer = ExcessMTL(3, 4, step_size=0.5)
    jacobian = _random(1, 4).float().expand(3, 4)
    balancer(jacobian)
    for _ in range(500):
        balancer(jacobian[:2], [0, 1])
    assert balancer.weights.tolist() == pytest.approx([1.0, 1.0, 0.0])
    balancer.squares[2] = balancer.squares[0]
    balancer(jacobian)
    assert balancer.weights.tolist() == pytest.approx([1.0, 1.0, 1.0], rel=1e-3)


def test_a_zero_first_gradient_is_no_baseline():
    balancer = ExcessMTL(2, 2, step_size=1.0).double()
    balancer(torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64))
    assert balancer.first[0] == 0
    balancer(torch.tensor([[3.0, 0.0], [1.0, 1.0]], dtype=torch.float64))
    assert balancer.first[0].item() == pytest.approx(3.0)


@pytest.mark.parametrize("step_size", [0.0, -1.0, float("nan")])
def test_a_step_size_out_of_range_is_refused(step_size):
    with pytest.raises(UserError, match=f"excess_mtl step_size {step_size}: it must be above 0"):
        ExcessMTL(2, 3, step_size=step_size)
