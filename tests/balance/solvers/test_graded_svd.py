"""Held against 60 digits: columns of any length, and every singular value to the digits that they leave it."""

import mpmath
import numpy as np
import pytest

from trunkline.balance.solvers.graded_svd import graded_svd

EPSILON = np.finfo(np.float64).eps


def exact(matrix):
    """Singular values, ascending, from 60 digits."""
    with mpmath.workdps(60):
        gramian = mpmath.matrix(matrix.tolist()).T * mpmath.matrix(matrix.tolist())
        return [mpmath.sqrt(value) for value in mpmath.eigsy(gramian, eigvals_only=True)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("decades", [0, 2, 6, 12])
@pytest.mark.parametrize("seed", range(3))
def test_every_singular_value_is_as_good_as_the_even_matrix_allows(size, decades, seed):
    draw = np.random.default_rng(seed)
    even = draw.normal(size=(size, size))
    even /= np.linalg.norm(even, axis=0)
    matrix = even * draw.permutation(np.logspace(-decades, decades, size))
    left, singular, right = graded_svd(matrix)
    wanted = exact(matrix)
    # Demmel and Veselić: a few n·ε·κ(even); below the ratio at which LAPACK serves its error has that ratio in it.
    allowed = 8 * size * EPSILON * np.linalg.cond(even) * (1e3 if decades == 2 else 1)
    for found, value in zip(np.sort(singular), wanted, strict=True):
        assert abs(found - value) <= allowed * value
    unit = 16 * size * EPSILON
    np.testing.assert_allclose(right.T @ right, np.eye(size), atol=unit)
    rebuilt = left * singular @ right.T
    # column by column: the short ones are as exact as the long ones
    assert (np.abs(rebuilt - matrix).max(axis=0) <= allowed * np.linalg.norm(matrix, axis=0)).all()


def test_columns_that_are_orthogonal_already_stay():
    singular = graded_svd(np.diag([1e-9, 1.0, 1e9]))[1]
    np.testing.assert_array_equal(singular, [1e-9, 1.0, 1e9])
