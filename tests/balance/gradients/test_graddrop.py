import pytest
import torch

from trunkline.balance import GradDrop
from trunkline.errors import UserError


def _random(tasks, width, seed=0):
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("leak", [0.0, 0.25])
def test_the_mean_over_draws_is_the_papers_expectation(leak):
    """P·Σ max(g, 0) + (1 - P)·Σ min(g, 0) with P = ½(1 + Σg/Σ|g|), mixed with the sum by the leak."""
    jacobian, draws = _random(3, 5), 20_000
    balancer = GradDrop(leak=leak)
    # The same column many times over: each copy draws by itself.
    seen = balancer(jacobian.repeat_interleave(draws, dim=1)).view(5, draws)
    purity = 0.5 * (1 + jacobian.sum(0) / jacobian.abs().sum(0))
    up, down = jacobian.clamp(min=0).sum(0), jacobian.clamp(max=0).sum(0)
    expected = leak * jacobian.sum(0) + (1 - leak) * (purity * up + (1 - purity) * down)
    deviation = (1 - leak) * (up - down) * (purity * (1 - purity)).sqrt() / draws**0.5
    assert deviation.max() > 0
    assert ((seen.mean(1) - expected).abs() <= 4 * deviation + 1e-12).all()


def test_the_mean_over_calls_is_the_papers_expectation():
    jacobian, draws = torch.tensor([[3.0, -1.0], [-1.0, -1.0]]), 1000
    balancer = GradDrop()
    mean = torch.stack([balancer(jacobian) for _ in range(draws)]).mean(0)
    # P = ½(1 + 2/4) = ¾: ¾·3 + ¼·(-1) = 2; deviation 4·√(3/16)/√1000 = 0.055
    assert mean[0].item() == pytest.approx(2.0, abs=0.22)
    assert mean[1] == -2.0
    assert balancer.draws == draws


def test_without_leak_no_coordinate_mixes_signs():
    jacobian, balancer = _random(5, 200), GradDrop()
    up, down = jacobian.clamp(min=0).sum(0), jacobian.clamp(max=0).sum(0)
    kinds = set()
    for _ in range(20):
        update = balancer(jacobian)
        positive = update == up
        assert (positive | (update == down)).all()
        kinds.add(tuple(positive.tolist()))
    assert len(kinds) == 20


def test_a_leak_of_one_is_the_sum():
    jacobian = _random(4, 50)
    torch.testing.assert_close(GradDrop(leak=1.0)(jacobian), jacobian.sum(0))


def test_gradients_without_conflict_pass_whole():
    jacobian = _random(4, 50).abs() * _random(1, 50).sign()
    torch.testing.assert_close(GradDrop()(jacobian), jacobian.sum(0))


def test_draws_follow_the_seed_and_their_number():
    jacobian = _random(3, 40)
    assert torch.equal(GradDrop(seed=3)(jacobian), GradDrop(seed=3)(jacobian))
    assert not torch.equal(GradDrop(seed=3)(jacobian), GradDrop(seed=4)(jacobian))


@pytest.mark.parametrize("leak", [-0.1, 1.5, float("nan")])
def test_a_leak_out_of_range_is_refused(leak):
    with pytest.raises(UserError, match=rf"graddrop leak {leak}: it must be in \[0, 1\]"):
        GradDrop(leak=leak)
