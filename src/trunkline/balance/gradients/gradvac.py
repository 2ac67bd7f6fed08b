"""GradVac: pull each gradient to the angles with the others that it usually has."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from trunkline.balance.base import GramianBalancer
from trunkline.balance.gradients.task_orders import random_orders
from trunkline.errors import UserError

LIMIT = 1.0 - 1e-8
"""A target cosine counts as at most this: a nearer one would ask for an endless correction."""


@final
class GradVac(GramianBalancer):
    """Each gradient turns to every other until their cosine is at least its running mean (arXiv 2010.05874, eq. 4-5).

    Wang et al. 2021, Gradient Vaccine, algorithm 1, the whole of the shared parameters being one group. With targets of
    0 it is PCGrad. The corrections of one gradient happen in a random order, a function of (seed, number of the draw).

    NOTE[DIFF]: targets count as at most 1 - 1e-8; at 1 a correction would be infinite. A pair in which a gradient is
    zero has no cosine and is left as it is.

    Args:
        tasks: T, of the targets.
        rescale: as in `GramianBalancer`; the paper sums the corrected gradients (`rescale=False`).
        beta: share of a new cosine in its running mean, from 0 to 1.
        seed: of the orders.

    Attributes:
        targets: `[T, T]` running means of the cosine of task i's gradient, as corrected so far, with task j's.
        draws: `[]` how many orders have been drawn.

    Raises:
        UserError: T is below 1, or β out of range.
    """

    targets: Tensor
    draws: Tensor

    def __init__(self, tasks: int, *, rescale: bool = True, beta: float = 0.5, seed: int = 0) -> None:
        super().__init__(rescale=rescale)
        if tasks < 1:
            raise UserError(f"a balancer needs at least one task, not {tasks}")
        if not 0.0 <= beta <= 1.0:
            raise UserError(f"gradvac's beta must be from 0 to 1, got {beta}")
        self.tasks = tasks
        self.beta = beta
        self.seed = seed
        self.register_buffer("targets", torch.zeros(tasks, tasks, dtype=torch.float64))
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]`, each at least 0, such that Σ w_t·g_t is the sum of the corrected gradients."""
        if max(active) >= self.tasks:
            raise UserError(f"gradvac was made for {self.tasks} tasks, and got task number {max(active) + 1}")
        orders = random_orders(len(gramian), seed=self.seed, draw=int(self.draws))
        self.draws += 1
        places = torch.tensor(active, device=self.targets.device)
        targets = self.targets[places[:, None], places].tolist()
        weights = self.correct(gramian.tolist(), targets, orders, self.beta)
        self.targets[places[:, None], places] = torch.tensor(targets, dtype=torch.float64).to(self.targets)
        return torch.tensor(weights, dtype=gramian.dtype)

    @staticmethod
    def correct(
        products: list[list[float]], targets: list[list[float]], orders: list[list[int]], beta: float
    ) -> list[float]:
        """Weights `[A]` when gradient i meets the others in the order `orders[i]` `[A]`; moves `targets` `[A, A]`."""
        tasks = range(len(products))
        total = [0.0] * len(products)
        for i, order in enumerate(orders):
            weights = [0.0] * len(products)
            weights[i] = 1.0
            inner = list(products[i])  # of the gradient as corrected so far with each of the others
            square = products[i][i]
            for j in order:
                other = products[j][j]
                if j == i or square <= 0.0 or other <= 0.0:
                    continue
                cosine = min(max(inner[j] / (square**0.5 * other**0.5), -1.0), 1.0)
                target = min(targets[i][j], LIMIT)
                if cosine < target:
                    sine, wanted = (1.0 - cosine**2) ** 0.5, (1.0 - target**2) ** 0.5
                    step = square**0.5 * (target * sine - cosine * wanted) / (other**0.5 * wanted)
                    weights[j] += step
                    square += 2.0 * step * inner[j] + step * step * other
                    inner = [a + step * b for a, b in zip(inner, products[j], strict=True)]
                targets[i][j] += beta * (cosine - targets[i][j])
            total = [total[t] + weights[t] for t in tasks]
        return total
