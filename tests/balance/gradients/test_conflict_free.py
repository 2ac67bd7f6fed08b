import pytest
import torch
from torchjd import aggregation

from trunkline.balance.gradients.conflict_free import ConFIG


def _jacobian(tasks, width, seed, decades=0.0):
    jacobian = torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    jacobian[1:] -= 0.3 * jacobian[0]
    return jacobian * torch.logspace(-decades, decades, tasks, dtype=torch.float64)[:, None]


def _update(jacobian):
    gramian = jacobian @ jacobian.T
    return ConFIG(rescale=False)(gramian / gramian.diagonal().max()) @ jacobian


CASES = {
    "one": _jacobian(1, 4, 0),
    "two": _jacobian(2, 6, 1),
    "sixteen": _jacobian(16, 40, 2),
    "scales": _jacobian(5, 12, 3, decades=6),
    "more tasks than dimensions": _jacobian(7, 3, 4),
    "duplicated": _jacobian(4, 9, 5)[[0, 1, 1, 2, 3]],
    "a zero gradient": _jacobian(4, 9, 6) * torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)[:, None],
}


@pytest.mark.parametrize("jacobian", CASES.values(), ids=CASES.keys())
def test_is_torchjds(jacobian):
    expected = aggregation.ConFIG()(jacobian)
    torch.testing.assert_close(_update(jacobian), expected, rtol=1e-6, atol=1e-8 * float(expected.norm()))


def test_angles_are_equal_and_the_length_is_the_sum_of_projections():
    jacobian = _jacobian(5, 12, 7, decades=1)
    update = _update(jacobian)
    cosines = jacobian @ update / jacobian.norm(dim=1) / update.norm()
    torch.testing.assert_close(cosines, cosines[:1].expand(5))
    assert cosines[0] > 0
    torch.testing.assert_close(update.norm(), (jacobian @ update / update.norm()).sum())


@pytest.mark.parametrize("rescale", [True, False])
def test_dependent_gradients_follow_equation_2_even_where_it_turns_round(rescale):
    """Five gradients of rank two: the sum of projections on u is below 0 for some, and the update is then along -u."""
    turned = 0
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        jacobian = torch.randn(5, 2, generator=generator, dtype=torch.float64) @ torch.randn(
            2, 9, generator=generator, dtype=torch.float64
        )
        jacobian *= 10 ** torch.randn(5, 1, generator=generator, dtype=torch.float64)
        unit = jacobian / jacobian.norm(dim=1, keepdim=True)
        along = torch.linalg.pinv(unit, rtol=1e-12) @ torch.ones(5, dtype=torch.float64)
        along /= along.norm()
        total = (jacobian @ along).sum()
        update = ConFIG(rescale=rescale)(jacobian @ jacobian.T) @ jacobian
        turned += bool(total < 0)
        torch.testing.assert_close(update / update.norm(), total.sign() * along, rtol=0, atol=1e-9)
    assert turned >= 3
