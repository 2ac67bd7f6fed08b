import pytest
import torch

from trunkline.balance import DBMTL
from trunkline.errors import UserError


def _random(tasks, width, seed=0):
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_run_is_the_papers_algorithm():
    """ĝ ← g + β/k^σ·(ĝ - g), each scaled to the largest norm; the first average is the first gradient."""
    balancer = DBMTL(3, 5, beta=0.8, sigma=0.3).double()
    averages = None
    for k in range(1, 20):
        jacobian = _random(3, 5, k) * torch.tensor([[1e-3], [1.0], [1e3]], dtype=torch.float64)
        averages = jacobian if averages is None else jacobian + 0.8 / k**0.3 * (averages - jacobian)
        norms = averages.norm(dim=1)
        update = balancer(jacobian)
        torch.testing.assert_close(update, (averages / norms[:, None]).sum(0) * norms.max(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(balancer.weights, norms.max() / norms)


def test_every_norm_becomes_the_largest():
    balancer = DBMTL(4, 9).double()
    scales = torch.tensor([[1e-9], [1.0], [30.0], [7.0]], dtype=torch.float64)
    for step in range(6):
        balancer(_random(4, 9, step) * scales)
        norms = (balancer.weights[:, None] * balancer.averages).norm(dim=1)
        torch.testing.assert_close(norms, balancer.averages.norm(dim=1).max().expand(4))
    assert balancer.weights[2] == 1.0


def test_a_task_that_comes_late_starts_with_its_own_gradient():
    balancer = DBMTL(2, 3).double()
    for step in range(5):
        balancer(_random(1, 3, step), [0])
    assert balancer.steps.tolist() == [5, 0]
    late = _random(2, 3, 9)
    balancer(late)
    assert torch.equal(balancer.averages[1], late[1])
    assert not torch.equal(balancer.averages[0], late[0])


def test_without_past_there_are_no_averages():
    balancer = DBMTL(2, 4, beta=0.0).double()
    for step in range(3):
        jacobian = _random(2, 4, step)
        balancer(jacobian)
        assert torch.equal(balancer.averages, jacobian)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("beta", -0.1, r"beta in \[0, 1\]"),
        ("beta", 1.1, r"beta in \[0, 1\]"),
        ("sigma", -1.0, "sigma 0 or above"),
        ("sigma", float("nan"), "sigma 0 or above"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(name, value, rule):
    with pytest.raises(UserError, match=rf"db_mtl .*{name} {value}.*{rule}"):
        DBMTL(2, 3, **{name: value})
