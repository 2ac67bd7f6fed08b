"""With a kind's exponent, uncertainty weighting finds the width of the noise that its likelihood leaves out."""

import pytest
import torch
from torch.distributions import Laplace as LaplaceNoise
from torch.distributions import Normal

from trunkline.balance import Uncertainty
from trunkline.tasks import Huber, Laplace, Quantile, Regression

UNITS = {"center": 7.0, "scale": 20.0}
CASES = {
    "gaussian": (Regression(name="dwell", **UNITS), Normal(0.0, 5.0), 5.0 / 20.0),
    "laplace": (Laplace(name="dwell", **UNITS), LaplaceNoise(0.0, 5.0), 5.0 / 20.0),
    # The asymmetric Laplace distribution at level ½ with width b is the Laplace one with width 2b.
    "median": (Quantile(name="dwell", levels=(0.5,), **UNITS), LaplaceNoise(0.0, 5.0), 2.5 / 20.0),
    "huber": (Huber(name="dwell", delta=4.0, **UNITS), Normal(0.0, 5.0), 5.0 / 20.0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_width_of_the_noise_is_found(x, generator, case):
    task, noise, width = CASES[case]
    uniform = torch.rand(len(x), generator=generator, dtype=torch.float64).clamp(min=1e-12)
    label = 7.0 + 20.0 * (0.3 - 0.5 * x) + noise.icdf(uniform)
    line = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    objective = Uncertainty(1, exponents=[task.exponent], start="zero").double()
    optimizer = torch.optim.LBFGS([line, *objective.parameters()], max_iter=80, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        raw = (line[0] + line[1] * x)[:, None]
        value = objective(task.loss(raw, label).mean()[None])
        value.backward()
        return value

    optimizer.step(closure)
    assert objective.sigma().item() == pytest.approx(width, rel=3 / len(x) ** 0.5)
    assert line.tolist() == pytest.approx([0.3, -0.5], abs=0.01)
