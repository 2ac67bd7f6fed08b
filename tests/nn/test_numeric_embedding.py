"""Vectors for numbers, against their formulas in plain float64 arithmetic."""

import itertools
import math
import subprocess
import sys
import warnings

import pytest
import torch
from torch import Tensor

from trunkline.errors import UserError
from trunkline.nn.numeric_embedding import (
    NUMBERS,
    PeriodicNumbers,
    PiecewiseNumbers,
    PlainNumbers,
)

EVEN = tuple(i / 16 - 4 for i in range(129))
MOSTLY_ZERO = (0.0,) * 100 + tuple(0.1 * i**2 for i in range(1, 30))
TWO = (-0.5,) * 80 + (2.0,) * 49
CONSTANT = (0.25,) * 129
GRIDS = {
    "one": [EVEN],
    "several": [EVEN, None, MOSTLY_ZERO, TWO, CONSTANT, (1.0, 2.0, 4.0)],
    "two values alone": [TWO],
    "none": [None, CONSTANT],
    "no numbers": [],
}
each = pytest.mark.parametrize("grids", GRIDS.values(), ids=GRIDS.keys())


def drawn(numbers, *, seed: int = 0):
    """In float64, with no parameter left at 0."""
    generator = torch.Generator().manual_seed(seed)
    numbers = numbers.double()
    with torch.no_grad():
        for parameter in numbers.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return numbers


def batch(grids, n: int = 20, *, spread: float = 3.0) -> Tensor:
    return spread * torch.randn(n, len(grids), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def edges_of(grid, bins):
    """The knots as they are meant: distinct values in order, thinned out evenly."""
    edges = [] if grid is None else sorted(set(grid))
    if len(edges) > bins + 1:
        edges = [edges[round(i * (len(edges) - 1) / bins)] for i in range(bins + 1)]
    return edges


def piecewise(numbers: PiecewiseNumbers, x: float, k: int, edges: list[float]) -> list[float]:
    """Eq. 1 of the paper and the linear layer, for the kth number that has a vector."""
    x = min(max(x, 2 * edges[0] - edges[1]), 2 * edges[-1] - edges[-2])
    last = len(edges) - 2
    code = []
    for t in range(last + 1):
        part = (x - edges[t]) / (edges[t + 1] - edges[t])
        part = max(part, 0.0) if t > 0 else part
        code.append(min(part, 1.0) if t < last else part)
    linear, form = numbers.vectors.linear0, numbers.vectors.linear.weight[k]
    rows = [*form[:last], form[-1]]  # the library keeps the last bin last
    out = linear.weight[k] * x + linear.bias[k] + sum(part * row for part, row in zip(code, rows, strict=True))
    return out.tolist()


def periodic(numbers: PeriodicNumbers, x: float, k: int) -> list[float]:
    turns = [2 * math.pi * c * x for c in numbers.vectors.periodic.weight[k].tolist()]
    code = torch.tensor([*map(math.cos, turns), *map(math.sin, turns)], dtype=torch.float64)
    linear = numbers.vectors.linear
    return (linear.weight @ code + linear.bias).clamp(min=0).tolist()


@each
@pytest.mark.parametrize("bins", [1, 2, 7, 48, 500])
@pytest.mark.parametrize("n", [1, 20])
def test_piecewise_is_its_formula(grids, bins, n):
    numbers = drawn(PiecewiseNumbers(grids, bins=bins, dim=3))
    edges = [edges_of(grid, bins) for grid in grids]
    x = batch(grids, n)
    expected = []
    for row in x.tolist():
        own = [(value, known) for value, known in zip(row, edges, strict=True) if len(known) > 1]
        rest = [value for value, known in zip(row, edges, strict=True) if len(known) < 2]
        vectors = [piecewise(numbers, v, k, known) for k, (v, known) in enumerate(own)]
        expected.append([*itertools.chain(*vectors), *rest])
    expected = torch.tensor(expected, dtype=torch.float64).view(n, -1)
    out = numbers(x)
    assert numbers.fields == sum(len(known) > 1 for known in edges)
    assert out.shape == (n, numbers.out_features)
    # the library keeps 1/width and the edges in float32
    assert torch.allclose(out, expected, rtol=1e-4, atol=1e-4)


@each
@pytest.mark.parametrize("n", [1, 20])
def test_periodic_is_its_formula(grids, n):
    numbers = drawn(PeriodicNumbers(grids, frequencies=5, dim=3))
    varies = [len(edges_of(grid, 1)) > 1 for grid in grids]
    x = batch(grids, n)
    expected = []
    for row in x.tolist():
        own = [value for value, yes in zip(row, varies, strict=True) if yes]
        rest = [value for value, yes in zip(row, varies, strict=True) if not yes]
        vectors = [periodic(numbers, value, k) for k, value in enumerate(own)]
        expected.append([*itertools.chain(*vectors), *rest])
    expected = torch.tensor(expected, dtype=torch.float64).view(n, -1)
    assert numbers.fields == sum(varies)
    assert numbers(x).shape == (n, numbers.out_features)
    assert torch.allclose(numbers(x), expected, rtol=0, atol=1e-12)


@each
def test_plain_numbers_are_the_numbers(grids):
    numbers, x = PlainNumbers(grids), batch(grids)
    assert numbers(x) is x
    assert (numbers.fields, numbers.out_features, list(numbers.parameters())) == (0, len(grids), [])


@pytest.mark.parametrize("kind", ["piecewise", "periodic"])
def test_gradients_are_those_of_finite_differences(kind):
    grids = GRIDS["several"]
    numbers = drawn(NUMBERS[kind](grids, dim=2, **({"bins": 4} if kind == "piecewise" else {"frequencies": 3})))
    x = batch(grids, 4, spread=1.0).requires_grad_()
    names, parameters = zip(*numbers.named_parameters(), strict=True)

    def call(x, *parameters):
        return torch.func.functional_call(numbers, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *parameters))


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("far", [1e6, -1e6])
def test_far_values_stay_finite(kind, far):
    grids = [*GRIDS["several"], (0.0, 1e-30, 1e-20, 1.0), (-1e6, 0.0, 1e-7, 1e6), (3.0, 3.0 + 1e-7)]
    numbers = NUMBERS[kind](grids)
    x = torch.full((2, len(grids)), far, requires_grad=True)
    out = numbers(x)
    out.square().mean().backward()
    for value in (out, x.grad, *(p.grad for p in numbers.parameters())):
        assert value.isfinite().all()


def test_piecewise_vectors_are_bounded_however_far_a_value():
    numbers = drawn(PiecewiseNumbers([EVEN, TWO, (0.0, 1.0, 1.0001)], bins=8, dim=2))
    x = torch.tensor([[5.0, 8.0, 1.001], [1e6, 1e6, 1e6]], dtype=torch.float64)
    near, far = numbers(x)
    assert torch.equal(near, far)
    assert far.abs().max() < 100


def test_edges_that_float32_cannot_tell_apart_are_one():
    same = PiecewiseNumbers([(3.0, 3.0 + 1e-6, 3.0 + 2e-6), (0.0, 1e-40), (0.0, 1e-20, 2e-20)])
    assert (same.fields, same.out_features) == (1, 8 + 2)


def test_few_values_have_all_of_their_edges_and_many_have_even_ones():
    numbers = PiecewiseNumbers([MOSTLY_ZERO, EVEN], bins=32)
    assert numbers.vectors.impl.mask.sum(1).tolist() == [29, 32]
    even = 1 / numbers.vectors.impl.weight[1]
    assert torch.allclose(even, torch.full((32,), 0.25))


def test_piecewise_starts_as_a_linear_function():
    """Form B: the bins are learnt on top of it."""
    torch.manual_seed(0)
    numbers = PiecewiseNumbers([EVEN], dim=4).double()
    x = torch.tensor([[-2.0], [0.0], [2.0]], dtype=torch.float64)
    left, middle, right = numbers(x)
    assert torch.allclose(right - middle, middle - left, atol=1e-12)
    assert (right != left).all()


@pytest.mark.parametrize("kind", NUMBERS)
@each
def test_the_state_makes_a_copy(kind, grids):
    one, other = drawn(NUMBERS[kind](grids)), NUMBERS[kind](grids).double()
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(batch(grids)), other(batch(grids)))


@pytest.mark.parametrize("kind", NUMBERS)
def test_no_rows_give_none(kind):
    numbers = NUMBERS[kind](GRIDS["several"])
    assert numbers(torch.empty(0, 6)).shape == (0, numbers.out_features)


@pytest.mark.parametrize("kind", ["piecewise", "periodic"])
def test_under_autocast(kind):
    numbers = NUMBERS[kind](GRIDS["several"])
    x = batch(GRIDS["several"]).float()
    with torch.autocast("cpu", torch.bfloat16):
        out = numbers(x)
    assert torch.allclose(out.float(), numbers(x), atol=0.1)
    out.float().sum().backward()
    assert all(p.grad.isfinite().all() for p in numbers.parameters())


def test_scale_is_that_of_the_frequencies():
    for scale in (0.01, 2.0):
        weight = PeriodicNumbers([EVEN] * 50, frequencies=100, scale=scale).vectors.periodic.weight
        assert weight.std().item() == pytest.approx(scale, rel=0.05)


def test_the_table_and_its_options():
    assert {name: set(NUMBERS.options(name)) for name in NUMBERS} == {
        "plain": set(),
        "piecewise": {"bins", "dim"},
        "periodic": {"frequencies", "scale", "dim"},
    }
    assert NUMBERS.options("piecewise")["bins"] == (int, 48)
    made = NUMBERS.make("periodic", {"dim": 3, "frequencies": 2}, quantiles=[EVEN, None])
    assert isinstance(made, PeriodicNumbers)
    assert made.out_features == 4
    with pytest.raises(UserError, match=r"numbers 'periodik' is unknown; did you mean 'periodic'\?(.|\n)*piecewise: A"):
        NUMBERS.find("periodik")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PiecewiseNumbers([EVEN], bins=0), "bins 0: it must be at least 1"),
        (lambda: PiecewiseNumbers([EVEN], dim=0), "dim 0"),
        (lambda: PeriodicNumbers([EVEN], frequencies=0), "frequencies 0"),
        (lambda: PeriodicNumbers([EVEN], dim=-1), "dim -1"),
        (lambda: PeriodicNumbers([EVEN], scale=0.0), "scale 0.0: it must be above 0"),
        (lambda: PeriodicNumbers([EVEN], scale=math.nan), "scale nan"),
    ],
)
def test_values_out_of_range_are_refused(build, message):
    with pytest.raises(UserError, match=message):
        build()


@pytest.mark.parametrize("kind", ["piecewise", "periodic"])
def test_without_the_library_the_message_says_what_to_install(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "rtdl_num_embeddings", None)
    with pytest.raises(UserError, match=r"pip install 'trunkline\[numbers\]'"):
        NUMBERS[kind]([EVEN])
    NUMBERS[kind]([None])  # nothing of it is needed


def test_the_library_is_loaded_when_it_is_first_needed():
    program = (
        "import sys, trunkline.nn.numeric_embedding as n; n.PlainNumbers([None]); "
        "print('rtdl_num_embeddings' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"


def test_other_warnings_still_come_through():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        PiecewiseNumbers([TWO])
        warnings.warn("The 1-th feature has just two bin edges, said somebody else", UserWarning, stacklevel=1)
    assert len(caught) == 1
