import numpy as np
import pytest
import torch
from torchjd import aggregation

from trunkline.balance.gradients.mgda import MGDA


def _jacobian(tasks, width, seed, *, conflict=0.5, decades=0.0):
    draw = np.random.default_rng(seed)
    jacobian = draw.normal(size=(tasks, width))
    jacobian[1:] -= conflict * jacobian[0]
    return torch.from_numpy(jacobian * 10.0 ** draw.uniform(-decades, decades, (tasks, 1)))


CASES = [
    pytest.param(tasks, width, conflict, decades, id=f"{tasks} tasks, {width} wide, conflict {conflict}, 1e±{decades}")
    for tasks, width in [(2, 5), (3, 9), (8, 20), (16, 40), (40, 90), (5, 4), (9, 5)]
    for conflict in (0.0, 0.5, -1.0)
    for decades in (0, 3)
]
each_case = pytest.mark.parametrize(("tasks", "width", "conflict", "decades"), CASES)


@each_case
@pytest.mark.parametrize("seed", range(4))
def test_no_point_of_the_hull_is_shorter(tasks, width, conflict, decades, seed):
    """The most that a step towards any one gradient could still gain is 1e-10 of the minimum."""
    jacobian = _jacobian(tasks, width, seed, conflict=conflict, decades=decades)
    weights = MGDA(rescale=False)(jacobian @ jacobian.T)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0, dtype=torch.float64))
    point = weights @ jacobian
    square = point @ point
    longest = (weights * jacobian.norm(dim=1)).max()
    if square < 1e-12 * longest**2:
        return  # the hull holds 0, and weights that reach it are not unique
    shortfall = (square - jacobian @ point).clamp(min=0)
    gain = shortfall**2 / (jacobian - point).square().sum(1).clamp(min=1e-10 * jacobian.square().sum(1))
    assert gain.max() <= 1e-10 * square


@each_case
def test_at_least_as_low_as_torchjds(tasks, width, conflict, decades):
    jacobian = _jacobian(tasks, width, 7, conflict=conflict, decades=decades)
    gramian = jacobian @ jacobian.T
    ours, theirs = MGDA(rescale=False)(gramian), aggregation.MGDAWeighting(epsilon=1e-6, max_iters=200)(gramian)
    rounding = 1e-7 * (ours * jacobian.norm(dim=1)).max()
    assert (ours @ jacobian).norm() <= (theirs @ jacobian).norm() * (1 + 1e-9) + rounding


def test_two_tasks_in_closed_form():
    jacobian = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    expected = torch.tensor([0.8, 0.2], dtype=torch.float64)
    torch.testing.assert_close(MGDA(rescale=False)(jacobian @ jacobian.T), expected)
    jacobian[1] = torch.tensor([3.0, 1.0])  # the first alone is the shortest
    expected = torch.tensor([1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(MGDA(rescale=False)(jacobian @ jacobian.T), expected)


def test_every_task_with_weight_gets_the_same_product():
    jacobian = _jacobian(6, 20, 0)
    weights = MGDA(rescale=False)(jacobian @ jacobian.T)
    point = weights @ jacobian
    products, square = jacobian @ point, point @ point
    assert ((products[weights > 0] / square - 1).abs() < 1e-9).all()
    assert (products >= square * (1 - 1e-9)).all()


def test_a_pareto_stationary_point_gives_no_update():
    jacobian = torch.tensor([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    weights = MGDA(rescale=False)(jacobian @ jacobian.T)
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_normalize_forgets_the_norms():
    jacobian = _jacobian(5, 12, 3)
    scale = torch.logspace(-3, 3, 5, dtype=torch.float64)[:, None]
    unit = jacobian / jacobian.norm(dim=1, keepdim=True)
    expected = MGDA(rescale=False)(unit @ unit.T)
    for rows in (unit, jacobian, jacobian * scale):
        weights = MGDA(rescale=False, normalize=True)(rows @ rows.T)
        lengths = weights * rows.norm(dim=1)
        torch.testing.assert_close(lengths / lengths.sum(), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("tasks", [2, 3, 5, 8])
@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-5])
def test_nearly_opposed_gradients_reach_the_programs_optimum(tasks, noise, normalize):
    """d·d - min d·g, over the unit gradients or the given ones, bounds how far the objective is from its optimum."""
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        line = torch.randn(1, 20, generator=generator, dtype=torch.float64)
        signs = torch.where(torch.arange(tasks) % 2 == 0, 1.0, -1.0).double()[:, None]
        sizes = 0.5 + torch.rand(tasks, 1, generator=generator, dtype=torch.float64)
        jacobian = line * signs * sizes + noise * torch.randn(tasks, 20, generator=generator, dtype=torch.float64)
        weights = MGDA(rescale=False, normalize=normalize)(jacobian @ jacobian.T)
        norms = jacobian.norm(dim=1)
        rows = jacobian / norms[:, None] if normalize else jacobian
        shares = weights * norms if normalize else weights
        shares = shares / shares.sum()
        shortest = shares @ rows
        square, longest = shortest @ shortest, rows.norm(dim=1).max()
        # Products are known to n·ε of the longest squared, which is a share of n·ε/d² of the optimum.
        allowed = 32 * tasks * torch.finfo(torch.float64).eps * tasks * longest**2
        assert square - (rows @ shortest).min() <= allowed + 1e-12 * square, seed
