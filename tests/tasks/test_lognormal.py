import math

import pytest
import torch

from trunkline.errors import UserError
from trunkline.tasks import Lognormal
from trunkline.tasks.facts import LabelFacts

TASK = Lognormal(name="dwell", log_center=3.0, log_scale=1.2)


@pytest.fixture
def sample(x, generator):
    """Labels of a line of means whose width changes along another line, and the four parameters."""
    truth = torch.tensor([0.3, -0.5, -0.4, 0.6]).double()
    normal = torch.randn(len(x), generator=generator, dtype=torch.float64)
    raw = build(x)(truth)
    sigma = 0.01 + 0.5 * (raw[:, 1] + (raw[:, 1].square() + 4).sqrt())
    return (3.0 + 1.2 * (raw[:, 0] + sigma * normal)).exp(), truth


def build(x):
    return lambda p: torch.stack([p[0] + p[1] * x, p[2] + p[3] * x], dim=1)


def test_mean_and_width_are_recovered(x, sample, likeliest):
    label, truth = sample
    assert likeliest(TASK, build(x), label, torch.zeros(4)).agrees_with(truth)


def test_interval_and_mean_are_those_of_the_sample(x, sample):
    label, truth = sample
    raw = build(x)(truth)
    low, high = TASK.interval(raw)
    for outside in (label < low, label > high):
        assert outside.double().mean().item() == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / len(x)))
    near = x.abs() < 0.5
    ratio = label[near] / TASK.estimate(raw[near])
    assert ratio.mean().item() == pytest.approx(1.0, abs=4 * ratio.std().item() / math.sqrt(len(ratio)))
    assert (label > TASK.details(raw)["median"]).double().mean().item() == pytest.approx(0.5, abs=0.011)


@pytest.mark.parametrize("label", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("raw", [[1e4, -1e4], [-1e4, -1e4], [1e4, 1e4]])
def test_a_row_far_out_is_pulled_back(raw, label):
    leaf = torch.tensor([raw], requires_grad=True)
    TASK.loss(leaf, torch.tensor([label], dtype=torch.float64)).sum().backward()
    assert leaf.grad.isfinite().all()
    assert (leaf.grad != 0).all()
    assert leaf.grad[0, 0] * leaf[0, 0] > 0


def test_labels_that_do_not_differ_are_refused():
    with pytest.raises(UserError, match=r"dwell_s.* are 20; there is nothing"):
        Lognormal(name="dwell", label="dwell_s").learn(
            LabelFacts(rows=5, mean=20.0, std=0.0, log_mean=math.log(20), log_std=0.0)
        )


def test_units_are_those_of_the_logarithms():
    task = Lognormal(name="dwell").learn(LabelFacts(rows=5, mean=20.0, std=30.0, log_mean=2.5, log_std=0.7))
    assert task.learned() == {"log_center": 2.5, "log_scale": 0.7}


def test_only_numbers_above_0_are_allowed():
    assert TASK.allowed(torch.tensor([-1.0, 0.0, 1e-12, 3.0])).tolist() == [False, False, True, True]
