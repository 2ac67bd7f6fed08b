"""Link functions: from raw outputs, which may be any number, to widths, rates and ordered values."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def taper(x: Tensor, low: float, high: float) -> Tensor:
    """x between low and high; beyond, it goes on as a logarithm: `high + log(1 + x - high)`.

    exp(taper(x)) is exp(x) in between, a straight line above and a hyperbola below: never infinite, never 0, smooth
    to the first derivative, and its gradient is nowhere 0, so that a row far out finds back, as it would not from
    behind a clamp.

    Args:
        x: any shape.
        low: below 0, or 0.
        high: above 0.
    """
    # Not `clamp`: what its gradient is at the very ends differs between versions of torch (1 up to 2.13, 0 in 2.14).
    inside = torch.where(x < low, low, torch.where(x > high, high, x))
    beyond = x - inside
    return inside + beyond.sign() * beyond.abs().log1p()


def safe_exp(x: Tensor) -> Tensor:
    """exp(x), exactly for |x| up to 60 (1e-26 to 1e26); finite and above 0 in float32 for |x| up to 1e12."""
    return taper(x, -60.0, 60.0).exp()


def squareplus(x: Tensor) -> Tensor:
    """½·(x + √(x² + 4)) above 0, for widths; 1 at 0, about x above and 1/|x| below (arXiv 2112.11687, b = 4).

    Its gradient falls as 1/x² where softplus's falls as exp(x), so that a width that has become tiny grows again.
    Written as exp(asinh(x/2)), the same without cancellation.
    """
    return torch.exp(torch.asinh(0.5 * x))


def ladder(raw: Tensor, start: Sequence[float], middle: int) -> tuple[Tensor, Tensor]:
    """K values a row in ascending order, whatever the raw outputs: the first moves all, the others set the gaps.

    Args:
        raw: `[N, K]`.
        start: the K values at raw outputs of 0, ascending.
        middle: the place that the first raw output moves by itself; gaps accumulate from there.

    Returns:
        the values `[N, K]`; the gaps between neighbours `[N, K - 1]`, above 0 even where two values round to one.
    """
    widths = [right - left for left, right in pairwise(start)]
    gaps = squareplus(raw[:, 1:]) * torch.tensor(widths, dtype=raw.dtype, device=raw.device)
    base = raw[:, :1] + start[middle]
    below = base - gaps[:, :middle].flip(1).cumsum(1).flip(1)
    above = base + gaps[:, middle:].cumsum(1)
    return torch.cat([below, base, above], dim=1), gaps
