import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import mean_poisson_deviance

from trunkline.errors import UserError
from trunkline.tasks import Poisson
from trunkline.tasks.facts import LabelFacts


def test_line_of_log_rates_is_recovered(x, generator, likeliest):
    truth = torch.tensor([0.3, -0.5]).double()
    label = torch.poisson(2.5 * (truth[0] + truth[1] * x).exp(), generator=generator)
    fit = likeliest(Poisson(name="visits", mean=2.5), lambda p: (p[0] + p[1] * x)[:, None], label, torch.zeros(2))
    assert fit.agrees_with(truth)


@pytest.mark.parametrize("rate", [0.05, 1.0, 30.0, 400.0])
def test_probabilities_are_scipys_and_sum_to_1(rate):
    y = torch.arange(700, dtype=torch.float64)
    task = Poisson(name="visits", mean=2.0)
    loss = task.loss(torch.full((700, 1), math.log(rate / 2.0), dtype=torch.float64), y)
    saturated = torch.xlogy(y, y) - y - (y + 1).lgamma()
    np.testing.assert_allclose(saturated - loss, stats.poisson(rate).logpmf(y.numpy()), rtol=1e-9)
    assert (saturated - loss).exp().sum().item() == pytest.approx(1.0)


def test_mean_loss_is_half_the_deviance(generator):
    y = torch.poisson(torch.full((500,), 3.0), generator=generator)
    raw = torch.randn(500, 1, generator=generator)
    task = Poisson(name="visits", mean=3.0)
    expected = mean_poisson_deviance(y, task.estimate(raw.double()))
    assert 2 * task.loss(raw, y).mean().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [1e3, 1e6, 1e12])
def test_large_counts_keep_their_digits_in_float32(size):
    """Three terms of size 1e13 would leave rounding of size 1e6 where the loss is one half."""
    task = Poisson(name="views", mean=size)
    y = torch.tensor([size + math.sqrt(size), size], dtype=torch.float64)
    loss = task.loss(torch.zeros(2, 1), y)
    assert loss[0].item() == pytest.approx(0.5, rel=0.15)
    assert loss[1] == 0


@pytest.mark.parametrize(("size", "label"), [(1e4, 0.0), (1e4, 1e12), (-1e4, 1.0), (-1e4, 1e12)])
def test_a_row_far_out_is_pulled_back(size, label):
    leaf = torch.tensor([[size]], requires_grad=True)
    Poisson(name="visits").loss(leaf, torch.tensor([label])).sum().backward()
    assert leaf.grad.isfinite().all()
    assert leaf.grad * (size if label < 1e12 else -1.0) > 0


def test_a_wild_row_has_a_gradient_whose_square_is_a_float():
    leaf = torch.tensor([[1e4]], requires_grad=True)
    Poisson(name="views", mean=1e12).loss(leaf, torch.zeros(1)).sum().backward()
    assert leaf.grad.square().isfinite().all()


def test_whole_numbers_are_allowed():
    given = torch.tensor([-1.0, 0.0, 0.5, 3.0, 1e12])
    assert Poisson(name="visits").allowed(given).tolist() == [False, True, False, True, True]


def test_labels_of_0_alone_are_refused():
    with pytest.raises(UserError, match="no label of column 'visits' in train is above 0"):
        Poisson(name="visits").learn(LabelFacts(rows=5, mean=0.0, std=0.0))
