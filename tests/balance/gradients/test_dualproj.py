import numpy as np
import pytest
import torch
from qpsolvers import solve_qp

from trunkline.balance.gradients.dualproj import DualProj


@pytest.mark.parametrize("seed", range(8))
def test_is_gems_projection_in_the_space_of_gradients(seed):
    jacobian = np.random.default_rng(seed).normal(size=(5, 7))
    jacobian[1:] -= jacobian[0]
    mean = jacobian.mean(0)
    expected = solve_qp(np.eye(7), -mean, -jacobian, np.zeros(5), solver="quadprog")
    update = DualProj(rescale=False)(torch.from_numpy(jacobian @ jacobian.T)).numpy() @ jacobian
    np.testing.assert_allclose(update, expected, rtol=1e-8, atol=1e-10)


def test_only_conflicting_tasks_gain_weight():
    jacobian = torch.tensor([[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    weights = DualProj(rescale=False)(jacobian @ jacobian.T)
    torch.testing.assert_close(weights * 3, torch.tensor([1.0, 1.0, 3.0], dtype=torch.float64), rtol=1e-6, atol=0)
