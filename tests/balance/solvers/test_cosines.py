import numpy as np
import torch

from trunkline.balance.solvers.cosines import Cosines, definite


def test_cosines_and_norms_make_the_gramian():
    jacobian = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gramian = jacobian @ jacobian.T
    cosines = Cosines.of(gramian)
    np.testing.assert_allclose(cosines.matrix * cosines.norms * cosines.norms[:, None], gramian.numpy())
    assert (cosines.matrix.diagonal() == 1).all()


def test_zero_gradients_are_left_out_and_weigh_nothing():
    gramian = torch.tensor([[4.0, 0.0, 2.0], [0.0, 0.0, 0.0], [2.0, 0.0, 1.0]], dtype=torch.float64)
    cosines = Cosines.of(gramian)
    assert cosines.present.tolist() == [True, False, True]
    assert cosines.norms.tolist() == [2.0, 1.0]
    assert cosines.weights(np.array([1.0, 3.0])).tolist() == [0.5, 0.0, 3.0]


def test_without_any_gradient_all_weigh_one():
    cosines = Cosines.of(torch.zeros(3, 3, dtype=torch.float64))
    assert not len(cosines)
    assert cosines.weights(cosines.norms).tolist() == [1.0, 1.0, 1.0]


def test_a_cosine_stays_a_cosine():
    """Squares near underflow are coarse, and the product of the gradients may exceed that of their norms."""
    gramian = torch.tensor([[1.0, -1e-150], [-1e-150, 1e-310]], dtype=torch.float64)
    assert Cosines.of(gramian).matrix.tolist() == [[1.0, -1.0], [-1.0, 1.0]]


def test_a_definite_matrix_stays_as_it_is():
    matrix = np.array([[1.0, 0.5], [0.5, 1.0]])
    assert definite(matrix) is matrix


def test_a_shift_reaches_as_far_above_zero_as_rounding_went_below():
    opposed = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert np.isclose(np.linalg.eigvalsh(definite(opposed))[0], 1e-9, rtol=1e-5)
    rounded = opposed - 1e-6 * np.eye(2)
    assert np.isclose(np.linalg.eigvalsh(definite(rounded))[0], 1e-6, rtol=1e-5)
