import math

import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from torch.distributions import Normal

from trunkline.errors import UserError
from trunkline.tasks import Quantile


@pytest.mark.parametrize("levels", [(0.1, 0.5, 0.9), (0.05, 0.95), (0.01, 0.2, 0.25, 0.3, 0.8), (0.7,)])
@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_quantiles_never_cross(generator, levels, size, dtype):
    raw = (size * torch.randn(5000, len(levels), generator=generator)).to(dtype)
    quantiles = Quantile(name="dwell", levels=levels, center=3.0, scale=7.0).quantiles(raw)
    assert (quantiles.diff(dim=1) >= 0).all()
    assert quantiles.isfinite().all()


def test_start_is_the_normal_distribution():
    task = Quantile(name="dwell", levels=(0.05, 0.3, 0.9), center=3.0, scale=7.0)
    expected = Normal(3.0, 7.0).icdf(torch.tensor(task.levels))
    torch.testing.assert_close(task.quantiles(torch.zeros(1, 3))[0], expected)


@pytest.mark.parametrize("levels", [(0.1, 0.5, 0.9), (0.2,), (0.6, 0.99)])
def test_loss_is_scikit_learns(generator, levels):
    raw, label = torch.randn(50, len(levels), generator=generator).double(), torch.randn(50, generator=generator)
    task = Quantile(name="dwell", levels=levels)
    quantiles = task.quantiles(raw).numpy()
    expected = [mean_pinball_loss(label, quantiles[:, k], alpha=level) for k, level in enumerate(levels)]
    assert task.loss(raw, label).mean().item() == pytest.approx(sum(expected) / len(levels))


def test_lines_and_gaps_are_recovered(x, generator, flattest):
    """y = line + 0.6·normal: the gaps are 0.6 of those of the start."""
    task = Quantile(name="dwell", center=7.0, scale=20.0)
    gap = 0.6 - 1 / 0.6  # squareplus of it is 0.6
    truth = torch.tensor([0.3, -0.5, gap, gap]).double()
    normal = torch.randn(len(x), generator=generator, dtype=torch.float64)
    label = 7.0 + 20.0 * (0.3 - 0.5 * x + 0.6 * normal)

    def build(p):
        return torch.stack([p[0] + p[1] * x, p[2].expand(len(x)), p[3].expand(len(x))], dim=1)

    own = Normal(0.0, 0.6)
    density = own.log_prob(own.icdf(torch.tensor(task.levels))).exp().double()

    def curvature(p):
        raw = build(p).requires_grad_()
        columns = [torch.autograd.grad(q.sum(), raw, retain_graph=True)[0] for q in task.signal(raw).T]
        bend = torch.zeros(4, 4, dtype=torch.float64)
        for weight, by_raw in zip(density / 3, columns, strict=True):
            slope = torch.stack([by_raw[:, 0], by_raw[:, 0] * x, by_raw[:, 1], by_raw[:, 2]], dim=1)
            bend += weight * slope.T @ slope / len(x)
        return bend

    fit = flattest(task, build, label, torch.tensor([0.0, 0.0, 0.0, 0.0]), curvature)
    assert fit.agrees_with(truth)
    low, high = task.interval(build(fit.found))
    held = ((label >= low) & (label <= high)).double().mean().item()
    assert held == pytest.approx(task.coverage, abs=3 * math.sqrt(0.8 * 0.2 / len(x)))


def test_estimate_is_the_level_nearest_the_median():
    for levels, expected in [((0.1, 0.5, 0.9), 1), ((0.4, 0.6), 0), ((0.05, 0.45, 0.7, 0.8), 1), ((0.9,), 0)]:
        task = Quantile(name="dwell", levels=levels)
        raw = torch.randn(4, len(levels), generator=torch.Generator().manual_seed(0))
        assert task.middle == expected
        assert torch.equal(task.estimate(raw), task.quantiles(raw)[:, expected])


def test_details_are_named_by_percent():
    details = Quantile(name="dwell", levels=(0.025, 0.5, 0.9)).details(torch.zeros(2, 3))
    assert list(details) == ["q2.5", "q50", "q90"]
    assert details["q50"].tolist() == [0.0, 0.0]


def test_interval_needs_the_median_inside():
    assert Quantile(name="dwell", levels=(0.5, 0.9)).interval(torch.zeros(2, 2)) is None
    assert Quantile(name="dwell", levels=(0.3,)).interval(torch.zeros(2, 1)) is None
    wide = Quantile(name="dwell", levels=(0.05, 0.95))
    assert wide.coverage == pytest.approx(0.9)
    assert wide.interval(torch.zeros(1, 2))[1].item() == pytest.approx(1.645, abs=1e-3)


def test_gaps_that_closed_open_again():
    leaf = torch.tensor([[0.0, -1e4, -1e4]], requires_grad=True)
    Quantile(name="dwell").loss(leaf, torch.tensor([3.0])).sum().backward()
    assert leaf.grad[0, 2] < 0


@pytest.mark.parametrize("levels", [(), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5), (0.9, 0.1), (float("nan"),)])
def test_levels_ascend_between_0_and_1(levels):
    with pytest.raises(UserError, match="ascending"):
        Quantile(name="dwell", levels=levels)
