import numpy as np
import pytest
from qpsolvers import solve_qp
from scipy.optimize import nnls

from trunkline.balance.solvers.cosines import definite
from trunkline.balance.solvers.nonnegative_qp import nonnegative_qp


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 40])
@pytest.mark.parametrize("seed", range(5))
def test_is_quadprogs_solution_and_meets_the_conditions(size, seed):
    draw = np.random.default_rng(seed)
    factor = draw.normal(size=(size, size + 3))
    matrix, linear = factor @ factor.T, draw.normal(size=(6, size))
    y, _ = nonnegative_qp(matrix, linear)
    slack = y @ matrix - linear
    assert (y >= 0).all()
    assert (slack >= -1e-9).all()
    assert np.abs(y * slack).max() < 1e-9
    for row, right in zip(y, linear, strict=True):
        expected = solve_qp(matrix, -right, -np.eye(size), np.zeros(size), solver="quadprog")
        np.testing.assert_allclose(row, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("start", ["none", "all", "right"])
def test_the_start_does_not_matter(start):
    draw = np.random.default_rng(0)
    factor = draw.normal(size=(9, 12))
    matrix, linear = factor @ factor.T, draw.normal(size=(4, 9))
    expected, free = nonnegative_qp(matrix, linear)
    guess = {"none": np.zeros_like(free), "all": np.ones_like(free), "right": free}[start]
    y, _ = nonnegative_qp(matrix, linear, start=guess)
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_the_start_is_left_alone():
    start = np.array([[True, False]])
    nonnegative_qp(np.eye(2), np.array([[-1.0, 1.0]]), start=start)
    assert start.tolist() == [[True, False]]


@pytest.mark.parametrize("seed", range(10))
def test_a_singular_problem_reaches_the_least_value(seed):
    """Against Lawson and Hanson's method on the factor itself."""
    draw = np.random.default_rng(seed)
    factor, target = draw.normal(size=(9, 5)), draw.normal(size=5)
    singular = factor @ factor.T
    y, _ = nonnegative_qp(definite(singular), (factor @ target)[None], refine=singular)
    _, least = nnls(factor.T, target)
    assert np.linalg.norm(factor.T @ y[0] - target) <= least + 1e-9


def test_hard_signs_end():
    """A matrix on which exchanging all wrong variables at once cycles (Murty 1974 shows such of every odd size)."""
    size = 15
    matrix = np.eye(size) + 2.0 * np.tril(np.ones((size, size)), -1)
    matrix = matrix @ matrix.T
    for sign in (1.0, -1.0):
        linear = sign * np.array([(-1.0) ** i for i in range(size)])[None]
        y, _ = nonnegative_qp(matrix, linear)
        slack = y @ matrix - linear
        assert (y >= 0).all()
        assert (slack >= -1e-8).all()
        assert abs(float((y * slack).sum())) < 1e-8
