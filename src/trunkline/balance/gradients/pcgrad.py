"""PCGrad: project conflicting gradients off one another."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.gradients.task_orders import random_orders


@final
class PCGrad(GramianBalancer):
    """Each gradient loses its component along every gradient it conflicts with.

    Yu et al. 2020, Gradient Surgery for Multi-Task Learning, arXiv 2001.06782, algorithm 1.

    The projections of one gradient happen in a random order. The order of draw number k is a function of (seed, k)
    and k is a buffer: runs repeat, resume, and agree between machines, and no global generator is touched.

    Args:
        rescale: as in `GramianBalancer`; the paper sums the projected gradients (`rescale=False`).
        seed: of the orders.
    """

    draws: Tensor

    def __init__(self, *, rescale: bool = True, seed: int = 0) -> None:
        super().__init__(rescale=rescale)
        self.seed = seed
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]`, each at least 1, such that Σ w_t·g_t is the sum of the projected gradients."""
        orders = random_orders(len(gramian), seed=self.seed, draw=int(self.draws))
        self.draws += 1
        return torch.tensor(self.project(gramian.tolist(), orders), dtype=gramian.dtype)

    @staticmethod
    def project(products: list[list[float]], orders: list[list[int]]) -> list[float]:
        """Weights `[A]` when gradient i meets the others in the order `orders[i]` `[A]`."""
        total = [0.0] * len(products)
        for i, order in enumerate(orders):
            weights = [0.0] * len(products)
            weights[i] = 1.0
            for j in order:
                if j != i:
                    inner = sum(w * g for w, g in zip(weights, products[j], strict=True))
                    if inner < 0.0 < products[j][j]:  # a tiny gradient's square may underflow to 0
                        weights[j] -= inner / products[j][j]
            total = [t + w for t, w in zip(total, weights, strict=True)]
        return total
