import math

import numpy as np
import pytest
import torch
from scipy import stats

from trunkline.errors import UserError
from trunkline.tasks import NegativeBinomial
from trunkline.tasks.facts import LabelFacts

TASK = NegativeBinomial(name="visits", mean=2.5, dispersion=0.8)


def test_means_and_dispersion_are_recovered(x, generator, likeliest):
    truth = torch.tensor([0.3, -0.5, 0.4]).double()
    alpha = 0.8 * truth[2].exp()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        luck = torch.distributions.Gamma(1 / alpha, 1 / alpha).sample((len(x),))
    label = torch.poisson(2.5 * (truth[0] + truth[1] * x).exp() * luck, generator=generator)

    def build(p):
        return torch.stack([p[0] + p[1] * x, p[2].expand(len(x))], dim=1)

    assert likeliest(TASK, build, label, torch.zeros(3)).agrees_with(truth)


@pytest.mark.parametrize(("mean", "alpha"), [(0.05, 3.0), (2.0, 0.01), (30.0, 0.5), (4.0, 1e-3)])
def test_probabilities_are_scipys_and_sum_to_1(mean, alpha):
    y = torch.arange(3000, dtype=torch.float64)
    raw = torch.tensor([math.log(mean / 2.5), math.log(alpha / 0.8)], dtype=torch.float64).expand(3000, 2)
    loss = TASK.loss(raw, y)
    given = stats.nbinom(1 / alpha, 1 / (1 + alpha * mean))
    np.testing.assert_allclose(-loss, given.logpmf(y.numpy()), rtol=1e-8, atol=1e-8)
    assert (-loss).exp().sum().item() == pytest.approx(1.0)
    assert TASK.estimate(raw)[0].item() == pytest.approx(given.mean())
    assert TASK.details(raw)["sigma"][0].item() == pytest.approx(given.std())


def test_without_dispersion_it_is_poisson():
    y = torch.arange(30.0)
    raw = torch.tensor([0.5, -40.0]).expand(30, 2)
    expected = -torch.distributions.Poisson(2.5 * math.exp(0.5)).log_prob(y)
    torch.testing.assert_close(TASK.loss(raw, y), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("raw", [[1e4, 0.0], [-1e4, 0.0], [1e4, 1e4], [-1e4, -1e4]])
def test_a_row_far_out_is_pulled_back(raw):
    leaf = torch.tensor([raw], requires_grad=True)
    TASK.loss(leaf, torch.tensor([5.0])).sum().backward()
    assert leaf.grad.isfinite().all()
    assert leaf.grad[0, 0] * leaf[0, 0] > 0


def test_dispersion_starts_where_the_training_rows_have_it():
    task = NegativeBinomial(name="visits").learn(LabelFacts(rows=9, mean=4.0, std=6.0))
    assert task.learned() == {"mean": 4.0, "dispersion": 2.0}
    assert NegativeBinomial(name="visits").learn(LabelFacts(rows=9, mean=4.0, std=1.0)).dispersion == 0.1
    with pytest.raises(UserError, match="above 0"):
        NegativeBinomial(name="visits").learn(LabelFacts(rows=5, mean=0.0, std=0.0))


def test_whole_numbers_are_allowed():
    assert TASK.allowed(torch.tensor([-1.0, 0.0, 0.5, 3.0, 1e12])).tolist() == [False, True, False, True, True]
