"""GradDrop: at each coordinate keep the gradients of one sign."""

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from trunkline.balance.base import JacobianBalancer
from trunkline.errors import UserError


@final
class GradDrop(JacobianBalancer):
    """Where tasks disagree on a coordinate's sign, one sign is drawn and the others' gradients are dropped there.

    Chen et al. 2020, Just Pick a Sign, arXiv 2010.06808, algorithm 1: sign purity P = ½(1 + Σg/Σ|g|) is the
    probability of keeping the positive gradients. Draw number k is a function of (seed, k), and k is a buffer.

    Args:
        leak: share of every gradient that passes whatever is drawn, in [0, 1]; 1 is the plain sum.
        seed: of the draws.

    Raises:
        UserError: a leak out of range.
    """

    elementwise: ClassVar[bool] = True
    draws: Tensor

    def __init__(self, *, leak: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        if not 0 <= leak <= 1:
            raise UserError(f"graddrop leak {leak}: it must be in [0, 1]")
        self.leak = leak
        self.seed = seed
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def combine(self, jacobian: Tensor, active: Sequence[int]) -> Tensor:
        """The sum `[M]` of what is kept of `[A, M]`."""
        generator = torch.Generator(jacobian.device).manual_seed((self.seed * 1_000_003 + int(self.draws)) % 2**63)
        self.draws += 1
        total, size = jacobian.sum(0), jacobian.abs().sum(0)
        purity = 0.5 * (1 + total / torch.where(size > 0, size, 1.0))
        drawn = torch.rand(purity.shape, generator=generator, device=purity.device, dtype=purity.dtype)
        kept = jacobian.clamp(min=0).sum(0).where(purity > drawn, jacobian.clamp(max=0).sum(0))
        return self.leak * total + (1 - self.leak) * kept
