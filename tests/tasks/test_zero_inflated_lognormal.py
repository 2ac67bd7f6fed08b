import math

import pytest
import torch
from torch.distributions import LogNormal

from trunkline.errors import UserError
from trunkline.tasks import ZeroInflatedLognormal
from trunkline.tasks.facts import LabelFacts

TASK = ZeroInflatedLognormal(name="spend", log_center=3.0, log_scale=1.2)


def build(x):
    return lambda p: torch.stack([p[0] + p[1] * x, p[2] + p[3] * x, p[4].expand(len(x))], dim=1)


def draw(raw, generator):
    normal = torch.randn(len(raw), generator=generator, dtype=torch.float64)
    sigma = 0.01 + 0.5 * (raw[:, 2] + (raw[:, 2].square() + 4).sqrt())
    amount = (3.0 + 1.2 * (raw[:, 1] + sigma * normal)).exp()
    return torch.where(torch.rand(len(raw), generator=generator) < raw[:, 0].sigmoid(), amount, 0.0)


def test_every_part_is_recovered(x, generator, likeliest):
    truth = torch.tensor([-0.5, 0.8, 0.3, -0.5, -0.4]).double()
    label = draw(build(x)(truth), generator)
    assert likeliest(TASK, build(x), label, torch.zeros(5)).agrees_with(truth)


def test_probabilities_sum_to_1():
    """The loss less its constants: of 0, and of all amounts, summed over log y."""
    raw = torch.tensor([[0.7, 0.4, -0.6]], dtype=torch.float64)
    log = torch.linspace(-20, 26, 20_001, dtype=torch.float64)
    constant = math.log(0.01 * math.sqrt(2 * math.pi) * 1.2)
    density = torch.exp(-TASK.loss(raw.expand(len(log), 3), log.exp()) - constant)  # of log y
    zero = torch.exp(-TASK.loss(raw, torch.zeros(1)))
    assert (zero + torch.trapezoid(density, log)).item() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("logit", [-4.0, -1.0, 2.0, 6.0])
def test_interval_and_details_are_those_of_a_sample(generator, logit):
    raw = torch.tensor([logit, 0.2, -0.5]).double().expand(40_000, 3)
    label = draw(raw, generator)
    details = {name: value[0].item() for name, value in TASK.details(raw).items()}
    below, above = (label < details["low"]).double().mean(), (label > details["high"]).double().mean()
    error = 3 * math.sqrt(0.05 * 0.95 / len(label))
    p = torch.tensor(logit).sigmoid().item()
    assert below.item() == pytest.approx(0.05 if p > 0.95 else 0.0, abs=error)
    assert above.item() == pytest.approx(0.05 if p > 0.05 else p, abs=error)
    assert details["probability"] == pytest.approx(p)
    sigma = 1.2 * (0.01 + 0.5 * (-0.5 + math.sqrt(4.25)))
    assert details["if_positive"] == pytest.approx(LogNormal(3.0 + 1.2 * 0.2, sigma).mean.item())
    assert TASK.estimate(raw)[0].item() == pytest.approx(p * details["if_positive"])


def test_amounts_of_rows_with_0_have_no_gradient():
    leaf = torch.tensor([[0.3, 1e4, -1e4]], requires_grad=True)
    TASK.loss(leaf, torch.zeros(1)).sum().backward()
    assert leaf.grad[0, 1:].tolist() == [0.0, 0.0]


def test_one_amount_only_is_refused():
    with pytest.raises(UserError, match=r"0 or 20; a binary task"):
        ZeroInflatedLognormal(name="spend").learn(
            LabelFacts(rows=5, mean=4.0, std=8.0, log_mean=math.log(20), log_std=0.0)
        )


def test_0_and_above_are_allowed():
    assert TASK.allowed(torch.tensor([-1.0, 0.0, 1e-12, 3.0])).tolist() == [False, True, True, True]
