"""Uncertainty weighting recovers the noise it claims to model (Kendall, Gal, Cipolla 2018, arXiv 1705.07115)."""

import math

import pytest
import torch
from torch import Tensor

from trunkline.balance import Sum, Uncertainty
from trunkline.balance.fork import Fork
from trunkline.balance.objectives.uncertainty import LIMIT
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.optim.param_groups import GroupOptions, Subnets
from trunkline.sharing import SharedBottom
from trunkline.tasks import Regression
from trunkline.towers import Towers


@pytest.mark.parametrize("start", ["loss", "zero"])
def test_the_noise_of_two_regressions_is_recovered(start):
    """One input, two outputs with noise of σ = 10 and σ = 1 around two lines."""
    n, noise = 4000, (10.0, 1.0)
    tasks = [Regression(name="loud"), Regression(name="quiet")]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.randn(n, 1)
        labels = {
            "loud": 2.0 * x[:, 0] + 8.0 + noise[0] * torch.randn(n),
            "quiet": 3.0 * x[:, 0] + 3.0 + noise[1] * torch.randn(n),
        }
        model = Network(Embedding([], [], 1), SharedBottom(1, [16]), Fork(2), Towers(tasks, 16, []))
    objective = Uncertainty(2, exponents=[task.exponent for task in tasks], start=start)
    subnets = Subnets([model, objective], model.parameters_by_subnet() | {"balance": list(objective.parameters())})
    groups = subnets.groups(lr=0.02, overrides={"balance": GroupOptions(lr=0.03)})
    optimizer = torch.optim.Adam(groups)
    ids = torch.empty(n, 0, dtype=torch.int64)
    for _ in range(1500):
        losses, active = model.losses(model(ids, x), labels)
        optimizer.zero_grad()
        objective(losses, active).backward()
        optimizer.step()
    assert objective.sigma().tolist() == pytest.approx(noise, rel=0.05)
    # The plain sum counts both alike; here the loud task's loss counts a hundredth of the quiet one's.
    weights = objective.effective_weights(losses.detach())
    assert (weights[1] / weights[0]).item() == pytest.approx(100, rel=0.1)
    assert Sum(2).effective_weights(losses.detach()).tolist() == [1.0, 1.0]


def train(objective: Uncertainty, optimizer: torch.optim.Optimizer, losses: Tensor, *, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        objective(losses).backward()
        optimizer.step()


def settle(objective: Uncertainty, losses: Tensor) -> None:
    """To the minimum over s; the objective is convex there."""
    optimizer = torch.optim.LBFGS(objective.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = objective(losses)
        value.backward()
        return value

    optimizer.step(closure)


@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_the_laplace_form_settles_at_the_maximum_likelihood_scale(scale):
    """b of a Laplace sample is the mean absolute deviation, which is also where exp(-s/2)·L₁ + s/2 is smallest."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sample = torch.distributions.Laplace(3.0, scale).sample((20_000,))
    objective = Uncertainty(1, exponents=[0.5], start="zero")
    settle(objective, (sample - 3.0).abs().mean()[None])
    assert objective.sigma().item() == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_the_gaussian_form_settles_at_the_maximum_likelihood_scale(scale):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sample = torch.distributions.Normal(3.0, scale).sample((20_000,))
    objective = Uncertainty(1, start="zero")
    settle(objective, 0.5 * (sample - 3.0).square().mean()[None])
    assert objective.sigma().item() == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("exponent", [1.0, 0.5])
@pytest.mark.parametrize("loss", [0.05, 1.0, 100.0])
def test_every_loss_counts_the_same_once_settled(exponent, loss):
    objective, losses = Uncertainty(1, exponents=[exponent], start="zero"), torch.tensor([loss])
    settle(objective, losses)
    assert objective.effective_weights(losses).item() * loss == pytest.approx(1 / (2 * exponent), rel=0.02)


def test_a_negative_objective_is_normal():
    objective, losses = Uncertainty(1, start="zero"), torch.tensor([0.001])
    settle(objective, losses)
    assert objective(losses) < 0


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
def test_a_loss_of_0_stops_at_the_lower_limit_and_a_loss_brings_it_back(make):
    objective = Uncertainty(2, start="zero")
    optimizer = make(objective.parameters(), lr=0.1)
    nothing, something = torch.tensor([0.0, 0.5]), torch.tensor([0.5, 0.5])
    train(objective, optimizer, nothing, steps=400)
    weights = objective.effective_weights(nothing)
    assert weights.tolist() == pytest.approx([math.exp(LIMIT), 1.0], rel=1e-3)
    assert objective.sigma()[0].item() == pytest.approx(math.exp(-LIMIT / 2), rel=1e-5)
    # The parameter itself comes to rest close to the limit rather than drifting off.
    rest = objective.log_variance[0].item()
    assert -LIMIT - 1.5 < rest <= -LIMIT
    train(objective, optimizer, nothing, steps=100)
    assert objective.log_variance[0].item() == pytest.approx(rest, abs=1e-3)
    if make is torch.optim.Adam:
        train(objective, optimizer, something, steps=100)
        assert objective.log_variance[0] > rest + 2
    else:
        train(objective, optimizer, something, steps=1)
        assert objective.log_variance[0] > 0


@pytest.mark.parametrize("exponent", [1.0, 0.5])
@pytest.mark.parametrize("huge", [1e12, 1e30])
def test_a_huge_loss_stops_at_the_upper_limit_and_s_comes_back_when_it_falls(exponent, huge):
    objective, losses = Uncertainty(1, exponents=[exponent], start="zero"), torch.tensor([huge])
    descent = torch.optim.SGD(objective.parameters(), lr=20 / huge)  # its first step already lies beyond the limit
    train(objective, descent, losses, steps=50)
    assert objective.log_variance.isfinite().all()
    assert LIMIT <= objective.log_variance.item() < 3 * LIMIT
    assert objective.effective_weights(losses).item() == pytest.approx(math.exp(-exponent * LIMIT), rel=1e-5)
    assert objective(losses).isfinite()
    train(objective, torch.optim.SGD(objective.parameters(), lr=0.5), torch.tensor([0.5]), steps=400)
    # The minimum weighs a loss by 1/(2·c·L).
    assert objective.effective_weights(torch.tensor([0.5])).item() == pytest.approx(1 / exponent, rel=0.01)
