import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from trunkline.balance.gradients.cagrad import CAGrad
from trunkline.balance.gradients.mgda import MGDA
from trunkline.errors import UserError


def _jacobian(tasks, width, seed, *, conflict=0.5, decades=0.0):
    draw = np.random.default_rng(seed)
    jacobian = draw.normal(size=(tasks, width))
    jacobian[1:] -= conflict * jacobian[0]
    return jacobian * 10.0 ** draw.uniform(-decades, decades, (tasks, 1))


def _update(jacobian, c):
    weights = CAGrad(rescale=False, c=c)(torch.from_numpy(jacobian @ jacobian.T)).numpy()
    return weights, weights @ jacobian


def _dual(jacobian, w, c):
    """The paper's objective for w `[..., T]` in the simplex."""
    mean = jacobian.mean(0)
    return w @ jacobian @ mean + c * np.linalg.norm(mean) * np.linalg.norm(w @ jacobian, axis=-1)


@pytest.mark.parametrize("c", [0.1, 0.4, 0.9])
@pytest.mark.parametrize(("tasks", "width"), [(2, 4), (3, 8), (8, 20), (16, 30), (40, 90), (9, 5), (6, 2)])
@pytest.mark.parametrize("conflict", [0.0, 0.5, 2.0, -1.0])
@pytest.mark.parametrize("decades", [0, 2])
def test_primal_and_dual_meet(tasks, width, conflict, decades, c):
    """The worst-off task's gain equals the dual's value at our w: both are optimal, to 1e-8."""
    jacobian = _jacobian(tasks, width, 0, conflict=conflict, decades=decades)
    weights, update = _update(jacobian, c)
    mean = jacobian.mean(0)
    radius = c * np.linalg.norm(mean)
    assert np.linalg.norm(update - mean) <= radius * (1 + 1e-7)
    pull = weights - 1 / tasks
    assert (pull >= -1e-12).all()
    gain = (jacobian @ update).min()
    size = np.linalg.norm(mean) * np.linalg.norm(jacobian, axis=1).min()
    assert gain == pytest.approx(_dual(jacobian, pull / pull.sum(), c), rel=1e-8, abs=1e-8 * size)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("c", [0.2, 0.4, 0.8])
def test_no_point_of_a_fine_grid_is_lower(seed, c):
    jacobian = _jacobian(3, 6, seed, conflict=1.0)
    weights, _ = _update(jacobian, c)
    pull = weights - 1 / 3
    steps = 200
    grid = np.array([(i, j, steps - i - j) for i, j in itertools.product(range(steps + 1), repeat=2) if i + j <= steps])
    values = _dual(jacobian, grid / steps, c)
    found = _dual(jacobian, pull / pull.sum(), c)
    assert found <= values.min() + 1e-12
    assert found >= values.min() - 1e-2 * np.abs(values).max()


@pytest.mark.parametrize("seed", range(5))
def test_scipy_finds_nothing_lower(seed):
    """The authors' own way: SLSQP over the simplex."""
    jacobian = _jacobian(6, 15, seed, conflict=0.8)
    weights, _ = _update(jacobian, 0.4)
    pull = weights - 1 / 6
    best = minimize(
        lambda w: _dual(jacobian, w, 0.4),
        np.full(6, 1 / 6),
        bounds=[(0, 1)] * 6,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    found = _dual(jacobian, pull / pull.sum(), 0.4)
    assert found <= best.fun + 1e-8
    assert found == pytest.approx(best.fun, rel=1e-5)


def test_c_of_0_is_the_mean():
    jacobian = _jacobian(4, 6, 0)
    assert np.allclose(_update(jacobian, 0.0)[0], 0.25, rtol=1e-12)


def test_a_large_c_gives_mgdas_direction():
    jacobian = _jacobian(4, 10, 1, conflict=0.3)
    _, update = _update(jacobian, 1e6)
    mgda = MGDA()(torch.from_numpy(jacobian @ jacobian.T)).numpy() @ jacobian
    cosine = update @ mgda / np.linalg.norm(update) / np.linalg.norm(mgda)
    assert cosine == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("c", [-0.1, math.inf, math.nan])
def test_a_c_out_of_range_is_refused(c):
    with pytest.raises(UserError, match=r"cagrad's c must be 0 or more and finite, got"):
        CAGrad(c=c)
