import math

import numpy as np
import pytest
import torch
from torchjd.aggregation import FairGradWeighting

from trunkline.balance.gradients.equal import Equal
from trunkline.balance.gradients.fairgrad import FairGrad
from trunkline.balance.gradients.mgda import MGDA
from trunkline.balance.gradients.nash import NashMTL
from trunkline.errors import UserError


def _gramian(tasks, width, seed, *, conflict=0.5, decades=0.0):
    draw = np.random.default_rng(seed)
    jacobian = draw.normal(size=(tasks, width))
    jacobian[1:] -= conflict * jacobian[0]
    jacobian = torch.from_numpy(jacobian * 10.0 ** draw.uniform(-decades, decades, (tasks, 1)))
    gramian = jacobian @ jacobian.T
    return gramian / gramian.diagonal().max()


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("tasks", [1, 2, 3, 8, 16, 40])
@pytest.mark.parametrize("conflict", [0.0, 0.9, 3.0])
@pytest.mark.parametrize("decades", [0, 1])
def test_the_products_are_the_weights_to_minus_1_over_alpha(alpha, tasks, conflict, decades):
    gramian = _gramian(tasks, 2 * tasks + 5, 0, conflict=conflict, decades=decades)
    weights = FairGrad(rescale=False, alpha=alpha)(gramian)
    wanted = weights ** (-1 / alpha)
    # Rounding of a product is relative to the largest of its terms.
    size = gramian.abs() @ weights + wanted
    assert ((gramian @ weights - wanted).abs() <= 1e-12 * size).all()


@pytest.mark.parametrize("tasks", [2, 5, 16])
@pytest.mark.parametrize("decades", [0, 3])
def test_alpha_of_1_is_nash(tasks, decades):
    gramian = _gramian(tasks, 3 * tasks, 1, decades=decades)
    torch.testing.assert_close(FairGrad(alpha=1.0)(gramian), NashMTL()(gramian), rtol=1e-9, atol=0)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("tasks", [2, 5, 16])
def test_is_torchjds(alpha, tasks):
    gramian = _gramian(tasks, 3 * tasks, 2)
    expected = FairGradWeighting(alpha=alpha, max_iters=2000)(gramian)
    torch.testing.assert_close(FairGrad(rescale=False, alpha=alpha)(gramian), expected, rtol=1e-5, atol=0)


def test_a_small_alpha_nears_the_sum_and_a_large_one_mgda():
    gramian = _gramian(3, 9, 3, conflict=0.2)
    low, high = FairGrad(alpha=0.1)(gramian), FairGrad(alpha=10.0)(gramian)
    middle = FairGrad()(gramian)
    for end, weights in ((Equal()(gramian), low), (MGDA()(gramian), high)):
        assert (weights - end).norm() < (middle - end).norm()


@pytest.mark.parametrize("alpha", [0.0, -1.0, 11.0, math.nan])
def test_an_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(UserError, match=r"fairgrad's alpha must be from 0.1 to 10, got"):
        FairGrad(alpha=alpha)
