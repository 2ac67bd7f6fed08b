import mpmath
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


def exact_lengths(jacobian):
    """Weight times norm under scale `min` for a largest norm of 1, from 60 digits."""
    with mpmath.workdps(60):
        rows = mpmath.matrix(jacobian.tolist())
        gramian = rows * rows.T
        gramian /= max(gramian[i, i] for i in range(len(jacobian)))
        values, vectors = mpmath.eigsy(gramian)
        sums = [sum(vectors[i, k] for i in range(len(jacobian))) for k in range(len(jacobian))]
        root = [
            sum(vectors[i, k] * sums[k] / mpmath.sqrt(values[k]) for k in range(len(jacobian)))
            for i in range(len(jacobian))
        ]
        scale = mpmath.sqrt(min(values)) / len(jacobian)
        norms = [mpmath.sqrt(gramian[i, i]) for i in range(len(jacobian))]
        return torch.tensor([float(w * scale * n) for w, n in zip(root, norms, strict=True)], dtype=torch.float64)


@pytest.mark.parametrize("tasks", [2, 3, 5, 8])
@pytest.mark.parametrize("decades", [0.0, 1.0, 3.0, 6.0])
@pytest.mark.parametrize("seed", range(3))
def test_lengths_are_as_good_as_the_cosines_allow_however_long_the_gradients(tasks, decades, seed):
    jacobian = _jacobian(tasks, 12, seed, decades)
    unit = jacobian / jacobian.norm(dim=1, keepdim=True)
    gramian = jacobian @ jacobian.T
    gramian /= gramian.diagonal().max()
    lengths = AlignedMTL(rescale=False)(gramian) * gramian.diagonal().sqrt()
    expected = exact_lengths(jacobian)
    allowed = 32 * tasks * torch.finfo(torch.float64).eps * torch.linalg.cond(unit @ unit.T)
    # up to a ratio of norms of 1e3 LAPACK's decomposition serves, whose error has that ratio in it
    allowed *= 1e3 if 0 < 2 * decades <= 3 else 1
    assert (lengths - expected).abs().max() <= allowed * expected.abs().max()


def test_an_unknown_scale_is_refused():
    with pytest.raises(UserError, match="scale must be 'min', 'median' or 'rmse', got 'max'"):
        AlignedMTL(scale="max")
