"""Clamp of a learned log-scale: one that reached its bound still gets the gradient that leads back."""

import torch
from torch import Tensor

LIMIT = 10.0
"""|s| at most: weights from e^-10 to e^10."""


class _Clamp(torch.autograd.Function):
    """Clamp whose gradient passes inside the bounds, and outside wherever a descent step leads back."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, s: Tensor) -> Tensor:
        ctx.save_for_backward(s)
        return s.clamp(-LIMIT, LIMIT)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (s,) = ctx.saved_tensors  # type: ignore[attr-defined]  # torch types the context without its tensors
        outward = ((s >= LIMIT) & (grads[0] < 0)) | ((s <= -LIMIT) & (grads[0] > 0))
        return torch.where(outward, 0.0, grads[0])


def clamp(s: Tensor) -> Tensor:
    """Log-scales s within ±`LIMIT`; beyond, a gradient passes only where a descent step leads back."""
    clamped: Tensor = _Clamp.apply(s)  # type: ignore[no-untyped-call]  # torch's own
    return clamped
