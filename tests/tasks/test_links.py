import pytest
import torch

from trunkline.tasks.links import ladder, safe_exp, squareplus, taper


def test_taper_is_x_between_its_ends_and_a_logarithm_beyond():
    x = torch.tensor([-1e4, -6.0, -5.0, 0.0, 3.0, 4.0, 1e4], dtype=torch.float64)
    log = torch.log1p
    expected = [-5 - log(x[0].neg() - 5), -5 - log(torch.tensor(1.0)), -5.0, 0.0, 3.0, 3 + log(torch.tensor(1.0)), 0]
    expected[-1] = 3 + log(x[-1] - 3)
    torch.testing.assert_close(taper(x, -5.0, 3.0), torch.tensor([float(v) for v in expected], dtype=torch.float64))


@pytest.mark.parametrize("x", [-1e4, -5.5, -1.0, 0.0, 2.9, 3.5, 40.0])
def test_derivatives_equal_finite_differences(x):
    leaf = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: taper(v, -5.0, 3.0), leaf)
    assert torch.autograd.gradcheck(squareplus, leaf)


@pytest.mark.parametrize("x", [-5.0, 0.0, 3.0])
def test_the_slope_has_no_gap_at_the_ends(x):
    leaf = torch.tensor([x], requires_grad=True)
    taper(leaf, -5.0, 3.0).sum().backward()
    assert leaf.grad.item() == 1.0


def test_squareplus():
    x = torch.tensor([-1e4, -3.0, 0.0, 2.0, 1e4], dtype=torch.float64)
    torch.testing.assert_close(squareplus(x), 0.5 * (x + (x.square() + 4).sqrt()), rtol=1e-7, atol=1e-9)
    small = squareplus(torch.tensor([-1e4], requires_grad=True))
    assert small.item() == pytest.approx(1e-4, rel=1e-3)
    small.sum().backward()


def test_safe_exp_is_exp_where_labels_are():
    x = torch.linspace(-60, 60, 999, dtype=torch.float64)
    assert torch.equal(safe_exp(x), x.exp())
    far = safe_exp(torch.tensor([-1e12, 1e12]))
    assert far.isfinite().all()
    assert (far > 0).all()


@pytest.mark.parametrize("middle", [0, 1, 3])
def test_a_ladder_starts_where_it_is_told(middle):
    start = (-2.0, 0.5, 1.0, 7.0)
    values, gaps = ladder(torch.zeros(2, 4, dtype=torch.float64), start, middle)
    torch.testing.assert_close(values, torch.tensor(start).double().expand(2, 4))
    torch.testing.assert_close(gaps, values.diff(dim=1))
    raw = torch.tensor([[3.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(ladder(raw, start, middle)[0], values[:1] + 3.0)
