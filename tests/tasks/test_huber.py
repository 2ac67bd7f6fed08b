import numpy as np
import pytest
import torch
from scipy.special import huber

from trunkline.errors import UserError
from trunkline.tasks import Huber


def test_loss_is_scipys():
    raw = torch.linspace(-5, 5, 101, dtype=torch.float64)
    task = Huber(name="dwell", delta=1.3, center=2.0, scale=4.0)
    expected = huber(1.3, (3.0 - 2.0) / 4.0 - raw.numpy())
    np.testing.assert_allclose(task.loss(raw[:, None], torch.full((101,), 3.0).double()), expected)


def test_line_is_recovered_in_heavy_noise(x, generator, flattest):
    """Noise with no variance to speak of (Student's t, 2 degrees of freedom)."""
    truth = torch.tensor([0.3, -0.5]).double()
    line = torch.stack([torch.ones_like(x), x], dim=1)
    normal = torch.randn(3, len(x), generator=generator, dtype=torch.float64)
    label = 7.0 + 20.0 * (line @ truth + 0.5 * normal[0] / (normal[1:].square().mean(0)).sqrt())
    task = Huber(name="dwell", center=7.0, scale=20.0)

    def curvature(p):
        inside = ((label - 7.0) / 20.0 - line @ p).abs() < task.delta
        return line.T @ (line * inside[:, None]) / len(x)

    fit = flattest(task, lambda p: (line @ p)[:, None], label, torch.zeros(2), curvature)
    assert fit.agrees_with(truth)


@pytest.mark.parametrize("delta", [0.0, -1.0, float("nan"), float("inf")])
def test_delta_is_above_0(delta):
    with pytest.raises(UserError, match="delta"):
        Huber(name="dwell", delta=delta)
