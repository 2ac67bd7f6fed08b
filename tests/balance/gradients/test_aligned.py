import pytest
import torch
from torchjd.aggregation import AlignedMTLWeighting

from trunkline.balance.gradients.aligned import AlignedMTL
from trunkline.errors import UserError


def _jacobian(tasks, width, seed, decades=0.0):
    jacobian = torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return jacobian * torch.logspace(-decades, decades, tasks, dtype=torch.float64)[:, None]


CASES = {
    "one": _jacobian(1, 4, 0),
    "two": _jacobian(2, 6, 1),
    "three": _jacobian(3, 6, 2),
    "sixteen": _jacobian(16, 40, 3),
    "scales": _jacobian(5, 12, 4, decades=1.5),
    "more tasks than dimensions": _jacobian(7, 3, 5),
    "duplicated": _jacobian(4, 9, 6)[[0, 1, 1, 2, 3]],
    "a zero gradient": _jacobian(4, 9, 7) * torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)[:, None],
}


@pytest.mark.parametrize("jacobian", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
def test_is_torchjds(jacobian, scale):
    gramian = jacobian @ jacobian.T
    gramian /= gramian.diagonal().max()
    expected = AlignedMTLWeighting(scale_mode=scale)(gramian)
    torch.testing.assert_close(AlignedMTL(rescale=False, scale=scale)(gramian), expected, rtol=1e-6, atol=1e-9)


def test_the_aligned_gradients_are_orthogonal_and_equally_long():
    """Independent gradients: the update is the mean of vectors with the identity as Gramian, times s."""
    jacobian = _jacobian(4, 9, 8)
    gramian = jacobian @ jacobian.T
    gramian /= gramian.diagonal().max()
    weights = AlignedMTL(rescale=False)(gramian)
    least = torch.linalg.eigvalsh(gramian)[0]
    torch.testing.assert_close(weights @ gramian @ weights, least / 4)


def test_a_gradient_a_million_times_shorter_still_counts():
    jacobian = _jacobian(3, 9, 9) * torch.tensor([[1.0], [1e-6], [1.0]], dtype=torch.float64)
    update = AlignedMTL()(jacobian @ jacobian.T) @ jacobian
    cosines = jacobian @ update / jacobian.norm(dim=1) / update.norm()
    assert cosines[1] > 0.3


def test_an_unknown_scale_is_refused():
    with pytest.raises(UserError, match="scale must be 'min', 'median' or 'rmse', got 'max'"):
        AlignedMTL(scale="max")
