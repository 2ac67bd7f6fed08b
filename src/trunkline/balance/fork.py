"""The fork: where the trunk splits into the tasks' branches, and their gradients are balanced on the way back."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trunkline.balance.base import GramianBalancer, JacobianBalancer
from trunkline.balance.gramian import FEW, dots, gramian_of, plain_sum, row_of, weighted_sum, wide_of
from trunkline.eager_only import EagerOnly
from trunkline.errors import UserError


class Fork(nn.Module):
    """One copy of the shared representation for each task; its backward weighs the tasks' gradients.

    Forward is the identity. Backward receives each task's gradient δ_t with respect to its copy, forms the Gramian of
    the flattened δ_t, asks the balancer for weights w and hands Σ w_t·δ_t to the trunk. So one ordinary
    `objective.backward()` trains everything: towers keep their own unweighted gradients, and nothing hooks into the
    optimiser or the loop. A task whose δ is missing or exactly zero is inactive and takes no part.

    The Gramian of δ stands for the Gramian of the gradients over the trunk's parameters: an approximation (the chain
    rule's last factor is left out) at the cost of one T×T product. `fork_at_parameters` has the other.

    Under `torch.compile` the fork is a graph break: what comes before and after it is compiled.

    Args:
        tasks: T, the number of branches.
        balancer: weighs or combines the gradients; None splits without weighing.
        update_every: backward passes from one set of weights to the next; between them the last weights serve, and
            neither Gramian nor solver is paid for. For Gramian balancers.
        process_group: processes whose batches form one batch: the Gramian is summed over them, so all of them take
            the same weights. Give the fork a group of its own.

    Shape:
        - Input: any shape.
        - Output: T tensors of the input's shape.

    Attributes:
        weights: `[T]`, the last backward's weights; 0 for an inactive task, 1 before the first backward and under a
            Jacobian balancer.
        gramian: `[T, T]` of the gradients in the last backward that measured it; zeros before.
        measure: form the Gramian in every backward, without a balancer and between two updates too.

    Raises:
        UserError: fewer than one branch; `update_every` below 1, or above 1 without a Gramian balancer; a balancer
            made for another number of tasks; a process group with a Jacobian balancer that mixes coordinates.

    Examples:
        >>> fork = Fork(2, PCGrad())
        >>> click, buy = fork(torch.ones(4, 3, requires_grad=True))
    """

    weights: Tensor
    gramian: Tensor
    absent: Tensor
    backwards: Tensor

    def __init__(
        self,
        tasks: int,
        balancer: GramianBalancer | JacobianBalancer | None = None,
        *,
        update_every: int = 1,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        if tasks < 1:
            raise UserError(f"a fork needs at least one branch, not {tasks}")
        if update_every < 1 or (update_every > 1 and not isinstance(balancer, GramianBalancer)):
            raise UserError(f"update_every {update_every}: at least 1, and above 1 only with a Gramian balancer")
        if isinstance(balancer, JacobianBalancer) and process_group is not None and not balancer.elementwise:
            raise UserError(
                f"{type(balancer).__name__} mixes coordinates that lie on several processes; under a process group "
                "take a Gramian balancer"
            )
        remembered = getattr(balancer, "tasks", None)
        if remembered is None and isinstance(balancer, JacobianBalancer) and not balancer.at_fork:
            remembered = len(balancer.weights)
        if remembered is not None and remembered != tasks:
            raise UserError(f"{type(balancer).__name__} was made for {remembered} tasks, the fork has {tasks} branches")
        self.tasks = tasks
        self.balancer = balancer
        self.update_every = update_every
        self.process_group = process_group
        self.measure = False
        self._room: Tensor | None = None
        self.register_buffer("weights", torch.ones(tasks))
        self.register_buffer("gramian", torch.zeros(tasks, tasks), persistent=False)
        self.register_buffer("absent", torch.zeros(tasks, dtype=torch.bool))
        self.register_buffer("backwards", torch.zeros((), dtype=torch.int64))

    def forward(self, shared: Tensor) -> tuple[Tensor, ...]:
        """T copies of `shared`."""
        return tuple(copy for (copy,) in self.split(shared))

    def split(self, *shared: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """T copies of K tensors, which balance as one cut: `copies[t][k]`.

        Raises:
            UserError: the balancer keeps state per parameter, which rows of a batch cannot carry.
        """
        idle = self.balancer is None and not self.measure
        if idle or not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in shared)):
            return (shared,) * self.tasks
        if isinstance(self.balancer, JacobianBalancer) and not self.balancer.at_fork:
            raise UserError(
                f"{type(self.balancer).__name__} keeps state for each shared parameter, which a batch's rows at the "
                "fork cannot carry; use it at the parameters (at: parameters)"
            )
        copies = _split(self, shared)
        k = len(shared)
        return tuple(copies[t * k : (t + 1) * k] for t in range(self.tasks))

    def norms(self) -> Tensor:
        """Norms `[T]` of the gradients in the last backward that measured the Gramian."""
        return self.gramian.diagonal().sqrt()

    def cosines(self) -> Tensor:
        """Their cosines `[T, T]`; NaN beside a gradient of zero."""
        norms = self.norms()
        return (self.gramian / (norms[:, None] * norms[None, :])).clamp(-1, 1)

    @torch.no_grad()
    def merge(self, cotangents: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
        """K merged gradients from the T branches' (each K tensors, None where a branch has none)."""
        if not self.due() and not self.measure:
            return self.reweigh(cotangents)
        if isinstance(self.balancer, JacobianBalancer):
            return self._merge_rows(cotangents)
        weights = self._ask(self._products(cotangents))
        if self.balancer is None:
            return [plain_sum([branch[i] for branch in cotangents]) for i in range(len(cotangents[0]))]
        return weighted_sum(cotangents, weights.tolist())

    def _merge_rows(self, cotangents: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
        matrix, present, like = self._stacked(cotangents)
        merged = self.combine(matrix, present, group=self.process_group)
        if merged is None:
            return [None] * len(like)
        pieces = iter(torch.split(merged, [shape.numel() for shape in like if shape is not None]))
        return [None if shape is None else next(pieces).view(shape.shape).to(shape.dtype) for shape in like]

    def _stacked(self, cotangents: Sequence[Sequence[Tensor | None]]) -> tuple[Tensor, list[int], list[Tensor | None]]:
        """The branches' gradients as rows `[P, M]`, which tasks those are, and a gradient of each tensor's shape."""
        like = [next((c[i] for c in cotangents if c[i] is not None), None) for i in range(len(cotangents[0]))]
        present = [t for t, branch in enumerate(cotangents) if any(c is not None for c in branch)]
        shapes = [shape for shape in like if shape is not None]
        wide, size = wide_of(shapes), sum(shape.numel() for shape in shapes)
        matrix = self.rows(len(present), size, wide, shapes[0].device if shapes else None)
        if present:
            torch.stack([row_of(cotangents[t], like, wide) for t in present], out=matrix)
        return matrix, present, like

    def _products(self, cotangents: Sequence[Sequence[Tensor | None]]) -> Tensor:
        """The Gramian `[T, T]` of the branches' gradients over all processes."""
        if self.tasks <= FEW and all(c is None or c.device.type == "cpu" for branch in cotangents for c in branch):
            return _over_processes(dots(cotangents), self.process_group)
        matrix, present, _ = self._stacked(cotangents)
        return self.products(matrix, present, group=self.process_group)

    def _ask(self, gramian: Tensor) -> Tensor:
        """Weights `[T]` for a Gramian `[T, T]`, the last ones between two updates; keeps what there is to keep."""
        due = self.due()
        weights = self.weights if due else self.kept_weights()
        self.backwards += 1
        self.gramian = gramian.to(self.gramian)
        if due:
            weights = self._weigh(gramian.cpu())
            self.weights = weights.to(self.weights)
            if self.update_every > 1:
                self.absent = (gramian.diagonal() == 0).to(self.absent)
        return weights

    def rows(self, count: int, size: int, dtype: torch.dtype, device: torch.device | None) -> Tensor:
        """Room for gradients `[count, size]`, the same from one backward to the next.

        Fresh memory of this size would be mapped page by page in every step, which costs more than the arithmetic.
        """
        room = self._room
        if room is None or room.numel() < count * size or (room.dtype, room.device) != (dtype, device or room.device):
            room = self._room = torch.empty(count * size, dtype=dtype, device=device)
        return room[: count * size].view(count, size)

    @torch.no_grad()
    def combine(
        self, matrix: Tensor, present: Sequence[int], *, group: dist.ProcessGroup | None = None
    ) -> Tensor | None:
        """One gradient `[M]` from the gradients `[P, M]` of the tasks `present`; updates `weights` and `gramian`.

        Args:
            matrix: the gradients.
            present: positions of the P tasks among all T.
            group: processes over which the Gramian is summed, where each holds other coordinates.
        """
        gramian = self.products(matrix, present, group=group)
        if isinstance(self.balancer, JacobianBalancer):
            self.backwards += 1
            self.gramian = gramian.to(self.gramian)
            return self._combine_jacobian(matrix, present, gramian)
        weights = self._ask(gramian)
        if not present:
            return None
        weights = weights if len(present) == self.tasks else weights[list(present)]
        return weights.to(matrix) @ matrix

    def record(self, gramian: Tensor, weights: Tensor | None = None) -> None:
        """Keep what a backward measured `[T, T]` and what it weighed by `[T]`; all alike where nothing was weighed."""
        self.gramian = gramian.to(self.gramian)
        self.weights = torch.ones_like(self.weights) if weights is None else weights.to(self.weights).clone()

    def unscale(self, scale: float) -> None:
        """Take a gradient scaler's factor out of what was measured last."""
        self.gramian = self.gramian / scale**2

    def due(self) -> bool:
        """Whether the next backward asks the balancer."""
        return int(self.backwards) % self.update_every == 0

    def reweigh(self, cotangents: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
        """K merged gradients under the last weights, for a backward between two updates."""
        self.backwards += 1
        return weighted_sum(cotangents, self.kept_weights().tolist())

    def kept_weights(self) -> Tensor:
        """`[T]` weights between two updates; 1 for a task that the last update did not see, lest it stand still."""
        return torch.where(self.absent, 1.0, self.weights)

    def products(self, matrix: Tensor, present: Sequence[int], *, group: dist.ProcessGroup | None = None) -> Tensor:
        """The Gramian `[T, T]` of the gradients `[P, M]` of the tasks `present`, zeros for the others."""
        if len(present) == self.tasks:
            gramian = gramian_of(matrix)
        else:
            gramian = torch.zeros(self.tasks, self.tasks, dtype=matrix.dtype, device=matrix.device)
            if present:
                gramian[_grid(present)] = gramian_of(matrix)
        return _over_processes(gramian, group)

    def _weigh(self, gramian: Tensor) -> Tensor:
        values = gramian.tolist()
        if self.balancer is None or not all(math.isfinite(value) for row in values for value in row):
            # An overflow of scaled half-precision gradients, or a broken loss: the scaler or the loop deals with it.
            return torch.ones(self.tasks)
        active = [t for t in range(self.tasks) if values[t][t] > 0]
        if len(active) == self.tasks:
            everyone: Tensor = self.balancer(gramian, active)
            return everyone
        weights = torch.zeros_like(gramian[0])
        if active:
            weights[active] = self.balancer(gramian[_grid(active)], active)
        return weights

    def _combine_jacobian(self, matrix: Tensor, present: Sequence[int], gramian: Tensor) -> Tensor | None:
        assert isinstance(self.balancer, JacobianBalancer)
        if not present:
            return None
        norms = gramian.diagonal().tolist()
        rows = [row for row, t in enumerate(present) if norms[t] > 0]
        if not rows or not gramian.isfinite().all():
            return matrix.sum(0)
        combined: Tensor = self.balancer(matrix[rows], [present[row] for row in rows])
        return combined


def _over_processes(gramian: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    if group is not None:
        dist.all_reduce(gramian, group=group)
    return gramian


def _grid(indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    positions = torch.tensor(list(indices))
    return positions[:, None], positions[None, :]


@EagerOnly
def _split(fork: Fork, shared: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    copies: tuple[Tensor, ...] = _Split.apply(fork, *shared)  # type: ignore[no-untyped-call]  # torch's own
    return copies


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fork: Fork, *shared: Tensor) -> tuple[Tensor, ...]:
        ctx.fork, ctx.k = fork, len(shared)
        ctx.set_materialize_grads(False)
        copies = tuple(tensor.view_as(tensor) for _ in range(fork.tasks) for tensor in shared)
        # What needs no gradient has no say in the weights.
        fixed = [copy for copy, tensor in zip(copies, shared * fork.tasks, strict=True) if not tensor.requires_grad]
        ctx.mark_non_differentiable(*fixed)
        return copies

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        branches = [cotangents[t * ctx.k : (t + 1) * ctx.k] for t in range(ctx.fork.tasks)]
        return (None, *ctx.fork.merge(branches))
