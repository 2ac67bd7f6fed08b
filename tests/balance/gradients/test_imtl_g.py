import pytest
import torch
from torchjd import aggregation

from trunkline.balance.gradients.conflict_free import ConFIG
from trunkline.balance.gradients.imtl_g import IMTLG


def _random(tasks, width, seed):
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _aligned(tasks, width, seed):
    """Gradients with a common direction, so that the weights sum to more than 0."""
    return _random(tasks, width, seed) + 0.5 * _random(1, width, seed + 100)


@pytest.mark.parametrize("tasks", [1, 2, 5, 16])
@pytest.mark.parametrize("decades", [0, 3])
def test_projections_are_equal(tasks, decades):
    scale = torch.logspace(-decades, decades, tasks, dtype=torch.float64)[:, None]
    jacobian = _random(tasks, 3 * tasks, 0) * scale
    update = IMTLG(rescale=False)(jacobian @ jacobian.T) @ jacobian
    projections = jacobian @ update / jacobian.norm(dim=1)
    torch.testing.assert_close(projections, projections[:1].expand(tasks), rtol=1e-8, atol=0)
    assert (projections > 0).all()


@pytest.mark.parametrize("tasks", [1, 2, 5, 16])
@pytest.mark.parametrize("decades", [0, 1])
def test_is_torchjds(tasks, decades):
    scale = torch.logspace(-decades, decades, tasks, dtype=torch.float64)[:, None]
    jacobian = _aligned(tasks, 3 * tasks, 1) * scale
    gramian = jacobian @ jacobian.T
    torch.testing.assert_close(
        IMTLG(rescale=False)(gramian), aggregation.IMTLGWeighting()(gramian), rtol=1e-6, atol=1e-9
    )


def test_duplicated_tasks_are_torchjds():
    jacobian = _aligned(4, 10, 2)[[0, 1, 1, 2, 3]]
    update = IMTLG(rescale=False)(jacobian @ jacobian.T) @ jacobian
    torch.testing.assert_close(
        update / update.norm(), torch.nn.functional.normalize(aggregation.IMTLG()(jacobian), dim=0)
    )


def test_where_the_weights_would_turn_the_update_around_it_keeps_its_direction():
    """A long gradient that opposes a short one: with a sum of 1 both tasks would be driven uphill."""
    directions = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.4359, 0.0], [0.9, 0.2, 0.3873]], dtype=torch.float64)
    for seed in range(200):
        scale = 10 ** (2 * _random(3, 1, seed))
        jacobian = (directions + 0.3 * _random(3, 3, seed)) * scale
        gramian = jacobian @ jacobian.T
        weights = IMTLG(rescale=False)(gramian)
        assert (jacobian @ (weights @ jacobian) > 0).all()
        if weights.sum() < 0:
            torch.testing.assert_close(weights.abs().sum(), torch.tensor(1.0, dtype=torch.float64))
            return
    pytest.fail("no such case was drawn")


def test_its_direction_is_configs():
    jacobian = _random(4, 9, 3)
    gramian = jacobian @ jacobian.T
    one, other = IMTLG()(gramian) @ jacobian, ConFIG()(gramian) @ jacobian
    torch.testing.assert_close(one / one.norm(), other / other.norm())
