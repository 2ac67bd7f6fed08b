"""MGDA and CAGrad beside the optimum of their programs, as a general solver finds it."""

import pytest
import torch

from trunkline.balance import MGDA, CAGrad

cvxpy = pytest.importorskip("cvxpy", reason="pip install cvxpy")
SOLVED = 1e-8
"""What Clarabel's own default tolerance leaves of the objective."""


def rows(tasks, seed, *, conflict=0.0, decades=0.0):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(tasks, 12, generator=generator, dtype=torch.float64)
    made[1:] -= conflict * made[0]
    return made * 10 ** (decades * torch.randn(tasks, 1, generator=generator, dtype=torch.float64))


KINDS = {
    "two": (2, {}),
    "five": (5, {}),
    "conflicting": (5, {"conflict": 1.5}),
    "sixteen": (16, {"conflict": 0.5}),
    "norms apart": (4, {"decades": 0.5}),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_mgda_is_the_least_norm(kind, normalize, seed):
    tasks, made = KINDS[kind]
    jacobian = rows(tasks, seed, **made)
    norms = jacobian.norm(dim=1)
    weights = MGDA(rescale=False, normalize=normalize)(jacobian @ jacobian.T)
    shares = weights * norms if normalize else weights
    hull = jacobian / norms[:, None] if normalize else jacobian
    share = cvxpy.Variable(tasks, nonneg=True)
    program = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(hull.numpy().T @ share)), [cvxpy.sum(share) == 1])
    least = program.solve(solver="CLARABEL")
    found = float(((shares / shares.sum()) @ hull).square().sum())
    assert found <= least + SOLVED * (1 + float(hull.norm(dim=1).max()) ** 2)


@each_kind
@pytest.mark.parametrize("c", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_cagrad_helps_the_worst_off_as_far_as_can_be(kind, c, seed):
    tasks, made = KINDS[kind]
    jacobian = rows(tasks, seed, **made)
    mean = jacobian.mean(dim=0)
    update = CAGrad(rescale=False, c=c)(jacobian @ jacobian.T) @ jacobian
    radius = c * float(mean.norm())
    assert float((update - mean).norm()) <= radius * (1 + 1e-9)
    moved, least = cvxpy.Variable(len(mean)), cvxpy.Variable()
    program = cvxpy.Problem(
        cvxpy.Maximize(least),
        [jacobian.numpy() @ moved >= least, cvxpy.norm(moved - mean.numpy()) <= radius],
    )
    best = program.solve(solver="CLARABEL")
    assert float((jacobian @ update).min()) >= best - SOLVED * (1 + float(jacobian.norm(dim=1).max()) ** 2)
