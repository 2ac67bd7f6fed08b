import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from trunkline.balance.gradients.nash import NashMTL


def _gramian(tasks, width, seed, *, conflict=0.5, decades=0.0):
    draw = np.random.default_rng(seed)
    jacobian = draw.normal(size=(tasks, width))
    jacobian[1:] -= conflict * jacobian[0]
    jacobian = torch.from_numpy(jacobian * 10.0 ** draw.uniform(-decades, decades, (tasks, 1)))
    gramian = jacobian @ jacobian.T
    return gramian / gramian.diagonal().max()


@pytest.mark.parametrize("tasks", [1, 2, 3, 8, 16, 40])
@pytest.mark.parametrize("conflict", [0.0, 0.9, 3.0])
@pytest.mark.parametrize("decades", [0, 3])
@pytest.mark.parametrize("seed", range(3))
def test_alpha_times_its_products_is_1(tasks, conflict, decades, seed):
    gramian = _gramian(tasks, 2 * tasks + 5, seed, conflict=conflict, decades=decades)
    alpha = NashMTL(rescale=False)(gramian)
    torch.testing.assert_close(alpha * (gramian @ alpha), torch.ones_like(alpha), rtol=1e-9, atol=0)


def test_dependent_gradients_that_can_all_improve_have_a_solution():
    jacobian = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.3, 0.2]], dtype=torch.float64)
    gramian = jacobian @ jacobian.T
    alpha = NashMTL(rescale=False)(gramian) / gramian.diagonal().max().sqrt()
    torch.testing.assert_close(alpha * (gramian @ alpha), torch.ones_like(alpha), rtol=1e-7, atol=0)


def test_the_update_maximises_the_product_of_utilities():
    jacobian = np.random.default_rng(0).normal(size=(3, 5))
    update = NashMTL()(torch.from_numpy(jacobian @ jacobian.T)).numpy() @ jacobian
    update /= np.linalg.norm(update)

    def loss(x):
        gains = jacobian @ (x / np.linalg.norm(x))
        return -np.log(gains).sum() if (gains > 0).all() else 1e3

    best = minimize(
        loss, update + 0.05, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12, "maxiter": 9999}
    )
    assert loss(update) <= best.fun + 1e-9


def test_a_tasks_scale_does_not_change_its_part():
    gramian = _gramian(4, 9, 1)
    scale = torch.tensor([1.0, 1e3, 1e-4, 7.0], dtype=torch.float64)
    parts = NashMTL()(gramian) * gramian.diagonal().sqrt()
    scaled = gramian * scale * scale[:, None]
    scaled_parts = NashMTL()(scaled) * scaled.diagonal().sqrt()
    torch.testing.assert_close(parts / parts.sum(), scaled_parts / scaled_parts.sum(), rtol=1e-9, atol=0)


def test_orthogonal_tasks_get_the_inverse_of_their_norms():
    alpha = NashMTL(rescale=False)(torch.diag(torch.tensor([1.0, 0.25, 0.01], dtype=torch.float64)))
    torch.testing.assert_close(alpha, torch.tensor([1.0, 2.0, 10.0], dtype=torch.float64))


def test_opposed_tasks_cancel():
    alpha = NashMTL()(torch.tensor([[1.0, -0.5], [-0.5, 0.25]], dtype=torch.float64))
    torch.testing.assert_close(alpha, torch.tensor([2 / 3, 4 / 3], dtype=torch.float64), rtol=1e-6, atol=0)
