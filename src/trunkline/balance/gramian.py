"""Gramian arithmetic on the gradients that T branches send back: T rows of K tensors, None where there is none."""

from collections.abc import Sequence

import torch
from torch import Tensor

FEW = 8
"""Tasks up to which a CPU forms the Gramian pair by pair."""
BLOCKS, LEAST = 64, 1024
"""A long thin matrix times its transpose is formed in this many blocks, if they are at least this wide."""


def wide_of(tensors: Sequence[Tensor]) -> torch.dtype:
    """float64 if any of them is, or else float32: half precision is raised."""
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def dots(cotangents: Sequence[Sequence[Tensor | None]]) -> Tensor:
    """The Gramian `[T, T]` pair by pair: for few tasks cheaper than to copy their gradients side by side."""
    wide = wide_of([c for branch in cotangents for c in branch if c is not None])
    flat = [[None if c is None else c.flatten().to(wide) for c in branch] for branch in cotangents]
    gramian = torch.zeros(len(flat), len(flat), dtype=wide)
    pairs = [(s, t) for s in range(len(flat)) for t in range(s, len(flat))]
    products = []
    for s, t in pairs:
        parts = [torch.dot(a, b) for a, b in zip(flat[s], flat[t], strict=True) if a is not None and b is not None]
        products.append(torch.stack(parts).sum() if len(parts) > 1 else parts[0] if parts else gramian.new_zeros(()))
    first, second = torch.tensor(pairs).unbind(1)
    gramian[first, second] = gramian[second, first] = torch.stack(products)
    return gramian


def weighted_sum(cotangents: Sequence[Sequence[Tensor | None]], weights: Sequence[float]) -> list[Tensor | None]:
    """Σ w_t·δ_t for each tensor of the cut: one pass over each gradient, in float32 at least, and no copy."""
    merged: list[Tensor | None] = []
    for i in range(len(cotangents[0])):
        total = like = None
        for weight, branch in zip(weights, cotangents, strict=True):
            cotangent = branch[i]
            if cotangent is not None:
                like = cotangent
                wide = cotangent if cotangent.dtype == torch.float64 else cotangent.float()
                total = wide * weight if total is None else total.add_(wide, alpha=weight)
        merged.append(None if total is None or like is None else total.to(like.dtype))
    return merged


def gramian_of(matrix: Tensor) -> Tensor:
    """`matrix @ matrix.T` for `[T, M]`, M much larger than T, which a CPU's matrix product does not expect."""
    tasks, size = matrix.shape
    width = size // BLOCKS
    if width < LEAST or matrix.device.type != "cpu":
        return matrix @ matrix.T
    blocks = matrix[:, : width * BLOCKS].view(tasks, BLOCKS, width).transpose(0, 1)
    gramian = torch.bmm(blocks, blocks.transpose(1, 2)).sum(0)
    if width * BLOCKS < size:
        rest = matrix[:, width * BLOCKS :]
        gramian += rest @ rest.T
    return gramian


def row_of(branch: Sequence[Tensor | None], like: Sequence[Tensor | None], dtype: torch.dtype) -> Tensor:
    """One task's gradients with respect to all tensors of the cut, in a row; zeros where it has none."""
    parts = [
        (torch.zeros_like(shape) if cotangent is None else cotangent).flatten().to(dtype)
        for cotangent, shape in zip(branch, like, strict=True)
        if shape is not None
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def plain_sum(cotangents: Sequence[Tensor | None]) -> Tensor | None:
    """Added up as autograd adds them, last task first and in their own dtype: measuring changes no bit."""
    total = None
    for cotangent in reversed(cotangents):
        total = cotangent if total is None else total if cotangent is None else total + cotangent
    return total
