"""The fork: where the trunk splits into the tasks' branches, and their gradients are balanced on the way back."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trunkline.balance.base import GramianBalancer
from trunkline.errors import UserError


class Fork(nn.Module):
    """One copy of the shared representation for each task; its backward weighs the tasks' gradients.

    Forward is the identity. Backward receives each task's gradient δ_t with respect to its copy, forms the Gramian of
    the flattened δ_t, asks the balancer for weights w and hands Σ w_t·δ_t to the trunk. So one ordinary
    `objective.backward()` trains everything: towers keep their own unweighted gradients, and nothing hooks into the
    optimiser or the loop. A task whose δ is missing or exactly zero is inactive and takes no part.

    The Gramian of δ stands for the Gramian of the gradients over the trunk's parameters: an approximation (the chain
    rule's last factor is left out) at the cost of one T×T product.

    Args:
        tasks: T, the number of branches.
        balancer: weighs the gradients; None splits without weighing.
        process_group: processes whose batches form one batch: the Gramian is summed over them, so all of them take
            the same weights. Give the fork a group of its own.

    Shape:
        - Input: any shape.
        - Output: T tensors of the input's shape.

    Attributes:
        weights: `[T]`, the last backward's weights; 0 for an inactive task, 1 before the first backward.

    Raises:
        UserError: fewer than one branch.

    Example:
        >>> fork = Fork(2, PCGrad())
        >>> click, buy = fork(torch.ones(4, 3, requires_grad=True))
    """

    weights: Tensor

    def __init__(
        self,
        tasks: int,
        balancer: GramianBalancer | None = None,
        *,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        if tasks < 1:
            raise UserError(f"a fork needs at least one branch, not {tasks}")
        self.tasks = tasks
        self.balancer = balancer
        self.process_group = process_group
        self.register_buffer("weights", torch.ones(tasks), persistent=False)

    def forward(self, shared: Tensor) -> tuple[Tensor, ...]:
        """T copies of `shared`."""
        if self.balancer is None or not (torch.is_grad_enabled() and shared.requires_grad):
            return (shared,) * self.tasks
        copies: tuple[Tensor, ...] = _Split.apply(shared, self)  # type: ignore[no-untyped-call]  # torch's own
        return copies

    @torch.no_grad()
    def merge(self, cotangents: tuple[Tensor | None, ...]) -> Tensor | None:
        """Σ w_t·δ_t from the T branches' gradients (None where a branch has none); updates `weights`."""
        assert self.balancer is not None
        present = [i for i, cotangent in enumerate(cotangents) if cotangent is not None]
        like = next((c for c in cotangents if c is not None), None)
        wide = torch.float64 if like is not None and like.dtype == torch.float64 else torch.float32
        device = self.weights.device if like is None else like.device
        gramian = torch.zeros(self.tasks, self.tasks, dtype=wide, device=device)
        rows = torch.empty(0)
        if like is not None:
            rows = torch.stack([c.flatten() for c in cotangents if c is not None]).to(wide)
            gramian[_grid(present)] = rows @ rows.T
        if self.process_group is not None:
            dist.all_reduce(gramian, group=self.process_group)
        weights = self._weigh(gramian.cpu()).to(gramian)
        self.weights.copy_(weights)
        if like is None:
            return None
        return (weights[present] @ rows).view_as(like).to(like.dtype)

    def _weigh(self, gramian: Tensor) -> Tensor:
        assert self.balancer is not None
        if not gramian.isfinite().all():
            # An overflow of scaled half-precision gradients, or a broken loss: the scaler or the loop deals with it.
            return torch.ones(self.tasks)
        weights = torch.zeros_like(gramian[0])
        active = gramian.diagonal().nonzero().flatten().tolist()
        if active:
            weights[active] = self.balancer(gramian[_grid(active)], active)
        return weights


def _grid(indices: list[int]) -> tuple[Tensor, Tensor]:
    positions = torch.tensor(indices)
    return positions[:, None], positions[None, :]


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shared: Tensor, fork: Fork) -> tuple[Tensor, ...]:
        ctx.fork = fork
        ctx.set_materialize_grads(False)
        return tuple(shared.view_as(shared) for _ in range(fork.tasks))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, None]:
        return ctx.fork.merge(cotangents), None
