import numpy as np
import pytest
import torch
from torchjd import aggregation
from torchjd.linalg import QuadprogProjector

from trunkline.balance.gradients.dualproj import DualProj
from trunkline.balance.gradients.upgrad import UPGrad


def _jacobian(tasks, width, seed, *, conflict=0.5, decades=0.0):
    draw = np.random.default_rng(seed)
    jacobian = draw.normal(size=(tasks, width))
    jacobian[1:] -= conflict * jacobian[0]
    return torch.from_numpy(jacobian * 10.0 ** draw.uniform(-decades, decades, (tasks, 1)))


PAIRS = {"upgrad": (UPGrad, aggregation.UPGradWeighting), "dualproj": (DualProj, aggregation.DualProjWeighting)}
each_pair = pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS.keys())


@each_pair
@pytest.mark.parametrize("tasks", [1, 2, 5, 16, 40])
@pytest.mark.parametrize("conflict", [0.0, 0.5, 2.0])
def test_is_torchjds_with_its_regularisation_off(ours, theirs, tasks, conflict):
    jacobian = _jacobian(tasks, 2 * tasks + 3, 0, conflict=conflict)
    gramian = jacobian @ jacobian.T
    expected = theirs(projector=QuadprogProjector(norm_eps=0.0, reg_eps=1e-13))(gramian)
    torch.testing.assert_close(ours(rescale=False)(gramian), expected, rtol=1e-7, atol=1e-9)


@each_pair
@pytest.mark.parametrize("tasks", [2, 5, 16])
@pytest.mark.parametrize("width", [1, 3, 50])
def test_is_near_torchjds_as_it_comes(ours, theirs, tasks, width):
    """Including more tasks than dimensions: the updates agree to about its 1e-4."""
    jacobian = _jacobian(tasks, width, 1)
    gramian = jacobian @ jacobian.T
    update, expected = ours(rescale=False)(gramian) @ jacobian, theirs()(gramian) @ jacobian
    assert (update - expected).norm() < 2e-2 * gramian.trace().sqrt()


@each_pair
@pytest.mark.parametrize("tasks", [2, 5, 16])
@pytest.mark.parametrize("decades", [2, 6])
def test_short_gradients_are_protected_as_well(ours, theirs, tasks, decades):
    """No product is negative however short the gradient, where torchjd's regularisation gives up on it."""
    jacobian = _jacobian(tasks, 2 * tasks + 3, 2, conflict=1.0, decades=decades)
    weights = ours(rescale=False)(jacobian @ jacobian.T)
    lengths = weights * jacobian.norm(dim=1)
    cosines = jacobian @ (weights @ jacobian) / jacobian.norm(dim=1)
    assert (cosines >= -1e-12 * lengths.max()).all()
    coarse = jacobian @ (theirs()(jacobian @ jacobian.T) @ jacobian) / jacobian.norm(dim=1)
    assert cosines.min() > coarse.min()


@pytest.mark.parametrize("seed", range(5))
def test_upgrad_is_the_mean_of_projections_by_definition(seed):
    """Each gradient projected onto the cone {x: Jx >= 0} by a solver in the space of x itself."""
    from qpsolvers import solve_qp

    jacobian = _jacobian(5, 7, seed).numpy()
    projected = [solve_qp(np.eye(7), -row, -jacobian, np.zeros(5), solver="quadprog") for row in jacobian]
    update = UPGrad(rescale=False)(torch.from_numpy(jacobian @ jacobian.T)).numpy() @ jacobian
    np.testing.assert_allclose(update, np.mean(projected, axis=0), rtol=1e-8, atol=1e-10)


def test_without_conflict_the_mean_stays():
    jacobian = _jacobian(4, 6, 0).abs()
    for method in (UPGrad, DualProj):
        expected = torch.full((4,), 0.25, dtype=torch.float64)
        assert torch.equal(method(rescale=False)(jacobian @ jacobian.T), expected)


def test_two_opposed_gradients_leave_nothing():
    jacobian = torch.tensor([[1.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    update = UPGrad()(jacobian @ jacobian.T) @ jacobian
    torch.testing.assert_close(update, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-7)
