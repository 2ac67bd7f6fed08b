import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR

from trunkline.errors import UserError
from trunkline.optim.param_groups import GroupOptions, Subnets
from trunkline.optim.schedules import Constant, WarmupCosine, set_rates


def rates_of(make_scheduler, steps: int) -> list[float]:
    """What torch's own scheduler makes of a rate of 1, step by step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = make_scheduler(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("warmup", "steps"), [(0.0, 20), (0.1, 50), (0.25, 40), (0.5, 8)])
def test_warmup_cosine_is_torchs_linear_then_cosine(warmup, steps, final):
    schedule, rising = WarmupCosine(warmup=warmup, final=final), int(warmup * steps)
    up = rates_of(lambda o: LinearLR(o, 1 / rising, 1.0, total_iters=max(rising - 1, 1)), rising) if rising else []
    down = rates_of(lambda o: CosineAnnealingLR(o, steps - rising - 1, eta_min=final), steps - rising)
    assert [schedule.factor(step, steps) for step in range(steps)] == pytest.approx(up + down, abs=1e-12)


def test_warmup_cosine_at_its_landmarks():
    schedule = WarmupCosine(warmup=0.2, final=0.1)
    factors = [schedule.factor(step, 101) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 20)
    assert factors[19] == 1.0
    assert factors[20] == 1.0
    assert factors[60] == pytest.approx(0.55)  # half-way down
    assert factors[100] == pytest.approx(0.1)
    assert factors[:20] == sorted(factors[:20])
    assert factors[20:] == sorted(factors[20:], reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 0.99])
def test_short_trainings_have_rates_between_nothing_and_all(warmup, steps):
    factors = [WarmupCosine(warmup=warmup).factor(step, steps) for step in range(steps)]
    assert all(0 <= factor <= 1 and math.isfinite(factor) for factor in factors)
    assert max(factors) == 1.0


def test_beyond_the_last_step_the_rate_stays():
    schedule = WarmupCosine(final=0.2)
    assert schedule.factor(500, 100) == pytest.approx(0.2)


def test_constant():
    assert [Constant().factor(step, 10) for step in range(10)] == [1.0] * 10


@pytest.mark.parametrize(
    "arguments", [{"warmup": -0.1}, {"warmup": 1.0}, {"final": -0.1}, {"final": 1.1}, {"warmup": float("nan")}]
)
def test_impossible_schedules_are_refused(arguments):
    with pytest.raises(UserError, match="schedule warm-up"):
        WarmupCosine(**arguments)


def test_set_rates_moves_each_group_by_its_own_schedule():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    subnets = Subnets.matching(net, {"a": "0.*", "b": "1.*", "c": "2.*"})
    overrides = {"b": GroupOptions(lr=0.5, schedule=Constant()), "c": GroupOptions(lr=0.0)}
    optimizer = torch.optim.SGD(subnets.groups(lr=2.0, schedule=WarmupCosine(warmup=0.0), overrides=overrides))
    stranger = nn.Parameter(torch.zeros(1))
    optimizer.add_param_group({"params": [stranger], "lr": 7.0})
    for step, expected in ((0, 2.0), (5, 1.0), (10, 0.0), (5, 1.0)):
        set_rates(optimizer, step=step, steps=11)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([expected, 0.5, 0.0, 7.0], abs=1e-12)
