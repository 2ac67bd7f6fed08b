import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from trunkline.errors import UserError
from trunkline.tasks import MixtureDensity


def mixture(task, raw):
    """Torch's own, from the estimate of each component alone."""
    count = task.components
    spread = Normal(0.0, 1.0).icdf((torch.arange(count, dtype=raw.dtype) + 0.5) / count)
    width = (1 - spread.square().mean()).sqrt()
    means, raw_width = raw[:, count : 2 * count] + spread, raw[:, 2 * count :]
    sigma = 0.01 + width * 0.5 * (raw_width + (raw_width.square() + 4).sqrt())
    parts = Normal(task.center + task.scale * means, task.scale * sigma)
    return MixtureSameFamily(Categorical(logits=raw[:, :count]), parts)


@pytest.mark.parametrize("components", [1, 2, 5, 9])
def test_density_is_torchs_and_integrates_to_1(generator, components):
    task = MixtureDensity(name="dwell", components=components, center=7.0, scale=20.0)
    raw = torch.randn(1, 3 * components, generator=generator, dtype=torch.float64)
    label = torch.linspace(-500, 500, 40_001, dtype=torch.float64)
    log = task.log_density(raw.expand(len(label), -1), label)
    torch.testing.assert_close(log, mixture(task, raw).log_prob(label))
    assert torch.trapezoid(log.exp(), label).item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("components", [1, 2, 5, 9])
def test_moments_and_interval_are_torchs(generator, components):
    task = MixtureDensity(name="dwell", components=components, center=7.0, scale=20.0)
    raw = 2 * torch.randn(50, 3 * components, generator=generator, dtype=torch.float64)
    expected, details = mixture(task, raw), task.details(raw)
    torch.testing.assert_close(task.estimate(raw), expected.mean)
    torch.testing.assert_close(details["sigma"], expected.stddev)
    for end, level in (("low", 0.05), ("high", 0.95)):
        torch.testing.assert_close(
            expected.cdf(details[end]), torch.full((50,), level, dtype=torch.float64), rtol=0, atol=1e-4
        )


def test_start_has_the_training_rows_mean_and_spread():
    task = MixtureDensity(name="dwell", components=4, center=7.0, scale=20.0)
    raw = torch.zeros(1, 12, dtype=torch.float64)
    assert task.estimate(raw).item() == pytest.approx(7.0)
    assert task.details(raw)["sigma"].item() == pytest.approx(20.0, rel=0.01)


def test_two_bumps_are_recovered(x, generator, likeliest):
    """Shares, two lines of means and two widths; the interval then holds 90 % of the labels."""
    task = MixtureDensity(name="dwell", components=2, center=7.0, scale=20.0)
    truth = torch.tensor([0.7, -0.6, -0.5, 0.8, 0.3, -1.5, -1.0]).double()

    def build(p):
        zero = torch.zeros_like(x)
        columns = [zero, zero + p[0], p[1] + p[2] * x, p[3] + p[4] * x, zero + p[5], zero + p[6]]
        return torch.stack(columns, dim=1)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        label = mixture(task, build(truth)).sample()
    fit = likeliest(task, build, label, torch.zeros(7))
    assert fit.agrees_with(truth)
    low, high = task.interval(build(fit.found))
    for outside in (label < low, label > high):
        assert outside.double().mean().item() == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / len(x)))


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_a_row_far_out_is_pulled_back(size):
    leaf = torch.tensor([[0.0, 0.0, size, size, -1e4, -1e4]], requires_grad=True)
    MixtureDensity(name="dwell", components=2).loss(leaf, torch.tensor([1.0])).sum().backward()
    assert leaf.grad.isfinite().all()
    assert leaf.grad[0, 2:4].sum() * size > 0
    assert leaf.grad[0, 4:].min() < 0


def test_labels_that_repeat_do_not_draw_the_loss_below_0():
    leaf = torch.zeros(1, 15, requires_grad=True)
    task, optimizer = MixtureDensity(name="price"), torch.optim.Adam([leaf], lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        loss = task.loss(leaf, torch.tensor([0.5])).sum()
        loss.backward()
        optimizer.step()
    assert 0 <= loss < 2.0


def test_one_component_at_least():
    with pytest.raises(UserError, match="components"):
        MixtureDensity(name="dwell", components=0)
