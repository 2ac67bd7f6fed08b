import numpy as np
import pytest

from trunkline.balance.solvers.active_set import active_set, least_norm, rounding

EPSILON = np.finfo(np.float64).eps


def nearly_opposed(size, noise, seed):
    """Unit vectors along one line, in either direction, but for the noise."""
    draw = np.random.default_rng(seed)
    rows = np.where(np.arange(size) % 2, -1.0, 1.0)[:, None] * draw.normal(size=20)
    rows = rows / np.linalg.norm(rows, axis=1)[:, None] + noise * draw.normal(size=(size, 20))
    return rows / np.linalg.norm(rows, axis=1)[:, None]


@pytest.mark.parametrize("size", [2, 3, 5, 8])
@pytest.mark.parametrize("noise", [1.0, 1e-2, 1e-4, 1e-5])
@pytest.mark.parametrize("seed", range(4))
def test_the_slopes_tell_that_it_is_the_minimum(size, noise, seed):
    rows = nearly_opposed(size, noise, seed)
    ones = np.ones(size)
    matrix = rows @ rows.T + 1.0
    y = active_set(matrix, ones, ones / size)
    assert (y >= 0.0).all()
    shortest = (y / y.sum()) @ rows
    square = shortest @ shortest
    # For the shortest vector d of a hull d·g is d·d or more for every g: what is missing bounds the distance to it.
    # Products of unit vectors are known to n·ε, which is a share n·ε/d² of what is asked for here.
    assert square - (rows @ shortest).min() <= 32 * size * EPSILON * max(1.0, size / square) * square


def test_equal_columns_count_alike():
    rows = np.random.default_rng(0).normal(size=(3, 6))[[0, 1, 1, 2, 1]]
    matrix = rows @ rows.T
    y = active_set(matrix, np.ones(5), np.full(5, 0.1))
    np.testing.assert_allclose(y[[2, 4]], y[1], rtol=1e3 * EPSILON)


def test_nothing_to_gain_is_nothing():
    assert active_set(np.eye(3), -np.ones(3), np.ones(3)).tolist() == [0.0, 0.0, 0.0]


def test_least_norm_is_numpys_least_squares_solution():
    rows = np.random.default_rng(1).normal(size=(5, 3))
    matrix, right = rows @ rows.T, rows @ np.ones(3)
    free = np.array([True, True, False, True, True])
    y = least_norm(matrix, right, free, cut=rounding(matrix))
    kept = np.ix_(free, free)
    np.testing.assert_allclose(y[free], np.linalg.lstsq(matrix[kept], right[free], rcond=1e-12)[0], rtol=1e-10)
    assert y[2] == 0.0


def test_an_eigenvalue_below_0_tells_how_large_rounding_is():
    assert rounding(np.eye(2)) < 1e-13
    assert rounding(np.diag([1.0, -1e-7])) == pytest.approx(4e-7)
