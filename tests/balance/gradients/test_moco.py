import pytest
import torch

from trunkline.balance import MoCo
from trunkline.balance.gradients.moco import _onto_simplex
from trunkline.errors import UserError


def _random(tasks, width, seed=0):
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_first_step_against_numbers():
    """β = ½, γ = 0.1: y = ½g, YYᵀ over its largest entry = [[1, 0], [0, ¼]], λ = Π(½ - 0.05, ½ - 0.0125)."""
    balancer = MoCo(2, 2, rescale=False).double()
    update = balancer(torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
    mixture = [0.5 - 0.01875, 0.5 + 0.01875]
    assert balancer.mixture.tolist() == pytest.approx(mixture)
    assert update.tolist() == pytest.approx([mixture[0], 0.5 * mixture[1]])
    assert balancer.tracked.tolist() == [[1.0, 0.0], [0.0, 0.5]]


@pytest.mark.parametrize("rho", [0.0, 0.2])
def test_a_run_is_the_papers_recursion(rho):
    """Algorithm 1 on a Gramian whose largest diagonal entry is 1, as a projected gradient step by bisection."""
    balancer = MoCo(3, 6, rho=rho, gamma=0.7, rescale=False).double()
    tracked, mixture = torch.zeros(3, 6, dtype=torch.float64), torch.full((3,), 1 / 3, dtype=torch.float64)
    for k in range(1, 30):
        jacobian = _random(3, 6, k)
        tracked = tracked - 0.5 * k**-0.5 * (tracked - jacobian)
        gramian = tracked @ tracked.T / tracked.square().sum(1).max()
        point = mixture - 0.7 * k**-0.5 * (gramian + rho * torch.eye(3)) @ mixture
        low, high = point.min() - 1, point.max()
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if (point - middle).clamp(min=0).sum() > 1 else (low, middle)
        mixture = (point - low).clamp(min=0)
        torch.testing.assert_close(balancer(jacobian), mixture @ tracked, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(balancer.mixture, mixture, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("tasks", [1, 2, 7])
def test_the_mixture_stays_on_the_simplex(tasks):
    balancer = MoCo(tasks, 4, gamma=50.0)
    seen_zero = False
    for step in range(60):
        active = sorted({step % tasks, (step // 2) % tasks})
        balancer(_random(len(active), 4, step).float() * 10.0 ** (step % 5), active)
        assert (balancer.mixture >= 0).all()
        assert balancer.mixture.sum().item() == pytest.approx(1.0, abs=1e-5)
        seen_zero |= bool((balancer.mixture == 0).any())
    assert seen_zero or tasks == 1


def test_active_tasks_whose_share_has_gone_to_zero_still_train():
    balancer = MoCo(2, 3, gamma=50.0)
    for _ in range(20):
        balancer(torch.tensor([[10.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert balancer.mixture.tolist() == [0.0, 1.0]
    update = balancer(torch.tensor([[10.0, 0.0, 0.0]]), [0])
    assert update.tolist() == pytest.approx([10.0, 0.0, 0.0], rel=0.2)
    assert balancer.mixture.tolist() == [0.0, 1.0]


def test_the_tracked_gradients_converge_to_the_mean_of_noisy_ones():
    mean, balancer = _random(3, 20), MoCo(3, 20).double()
    errors = []
    for step in range(800):
        noisy = mean + _random(3, 20, 1000 + step)
        balancer(noisy)
        errors.append((balancer.tracked - mean).norm())
    assert torch.stack(errors[-50:]).mean() < 0.3 * (noisy - mean).norm()
    assert torch.stack(errors[-50:]).mean() < 0.5 * torch.stack(errors[5:15]).mean()


def test_the_update_of_opposed_tasks_is_the_point_of_least_norm():
    """As λ descends along ½‖λᵀY‖², the update approaches MGDA's, zero where that is the common point."""
    jacobian = torch.tensor([[1.0, 0.5], [-1.0, 0.5], [0.0, 3.0]])
    balancer = MoCo(3, 2, sigma=0.0, gamma=1.0, rescale=False)
    for _ in range(300):
        update = balancer(jacobian)
    assert update.tolist() == pytest.approx([0.0, 0.5], abs=1e-4)


@pytest.mark.parametrize("tasks", [1, 3, 8])
@pytest.mark.parametrize("total", [0.0, 1e-12, 0.4, 1.0])
def test_the_projection_is_nearest(tasks, total):
    point = _random(1, tasks, 3)[0]
    nearest = _onto_simplex(point, torch.tensor(total, dtype=torch.float64))
    assert (nearest >= 0).all()
    assert nearest.sum().item() == pytest.approx(total, abs=1e-12)
    for seed in range(20):
        other = _random(1, tasks, 100 + seed)[0].softmax(0) * total
        assert (point - nearest).norm() <= (point - other).norm() + 1e-12


def test_weights_sum_to_the_active_tasks_unless_the_papers_scale_is_asked_for():
    for rescale, total in ((True, 2.0), (False, 1.0)):
        balancer = MoCo(3, 4, rescale=rescale)
        balancer(_random(2, 4).float(), [0, 2])
        assert balancer.weights.sum().item() == pytest.approx(total)
        assert balancer.weights[1] == 0


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("beta", 0.0, r"beta in \(0, 1\]"),
        ("beta", 1.5, r"beta in \(0, 1\]"),
        ("gamma", 0.0, "gamma above 0"),
        ("rho", -0.5, "rho and sigma 0 or above"),
        ("sigma", -0.5, "rho and sigma 0 or above"),
        ("gamma", float("nan"), "gamma above 0"),
    ],
)
def test_rates_out_of_range_are_refused(name, value, rule):
    with pytest.raises(UserError, match=rf"moco .*{name} {value}.*{rule}"):
        MoCo(2, 3, **{name: value})
