"""Exact gradients of each task over the shared parameters themselves, embedding rows included."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trunkline.balance.base import JacobianBalancer
from trunkline.balance.fork import Fork
from trunkline.balance.row_alignment import RowAlignment
from trunkline.eager_only import EagerOnly
from trunkline.errors import UserError

Run = Callable[..., tuple[Tensor, ...]]


def fork_at_parameters(
    fork: Fork,
    run: Run,
    leaves: Sequence[Tensor],
    parameters: Sequence[nn.Parameter],
    *,
    rows: Sequence[Tensor] | None = None,
) -> tuple[tuple[Tensor, ...], ...]:
    """Run a trunk and fork its output, balanced by the gradients over its parameters, as the papers define it.

    Backward takes one backward pass through the trunk for each active task, forms the Gramian of those gradients,
    asks the fork's balancer for weights, and hands the weighted sum of the gradients it has kept to parameters and
    leaves. Still one ordinary `objective.backward()`. An embedding table takes part through a leaf that holds the
    batch's unique rows `[U, d]`: exact, at a cost that does not grow with the table.

    Args:
        fork: holds the balancer, the weights and the Gramian.
        run: the trunk: from the leaves to the K tensors at which it forks; it reads the parameters as they are.
        leaves: float tensors that feed the trunk, such as gathered embedding rows.
        parameters: the trunk's parameters; those that need no gradient are left out.
        rows: `[U]` int64 for each leaf, which rows of its table it holds, each once. Over several processes, whose
            batches hold different rows, it tells which are the same.

    Returns:
        `copies[t][k]`: for each task its copy of the K tensors.

    Raises:
        UserError: nothing shared needs a gradient; leaves over several processes without their `rows`.
    """
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    fed = [leaf for leaf in leaves if leaf.requires_grad]
    if not torch.is_grad_enabled():
        return (run(*leaves),) * fork.tasks
    if not learning and not fed:
        raise UserError("at: parameters has nothing to balance: no shared parameter needs a gradient")
    if fork.process_group is not None and fed and rows is None:
        raise UserError("at: parameters over several processes needs the `rows` that each leaf holds")
    flat = _exact(fork, run, len(leaves), rows, (*leaves, *learning))
    k = len(flat) // fork.tasks
    return tuple(flat[t * k : (t + 1) * k] for t in range(fork.tasks))


@EagerOnly
def _exact(
    fork: Fork, run: Run, leaves: int, rows: Sequence[Tensor] | None, sources: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    copies: tuple[Tensor, ...] = _Exact.apply(fork, run, leaves, rows, *sources)  # type: ignore[no-untyped-call]
    return copies


class _Exact(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, fork: Fork, run: Run, leaves: int, rows: Sequence[Tensor] | None, *sources: Tensor
    ) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            inner = [leaf.detach().requires_grad_(leaf.requires_grad) for leaf in sources[:leaves]]
            cut = run(*inner)
        ctx.fork, ctx.cut, ctx.leaves, ctx.rows = fork, cut, leaves, rows
        ctx.sources = [*inner, *sources[leaves:]]
        ctx.set_materialize_grads(False)
        return tuple(tensor.detach() for _ in range(fork.tasks) for tensor in cut)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        k = len(ctx.cut)
        branches = [cotangents[t * k : (t + 1) * k] for t in range(ctx.fork.tasks)]
        learning = [source for source in ctx.sources if source.requires_grad]
        dense = sum(source.numel() for source in ctx.sources[ctx.leaves :] if source.requires_grad)
        alignments: list[RowAlignment | None] = [None] * len(learning)
        if ctx.fork.process_group is not None and ctx.rows is not None:
            fed = [rows for rows, leaf in zip(ctx.rows, ctx.sources, strict=False) if leaf.requires_grad]
            alignments[: len(fed)] = [RowAlignment(rows, ctx.fork.process_group) for rows in fed]
        merged = _merge(ctx.fork, ctx.cut, branches, learning, alignments, dense)
        nothing: list[Tensor | None] = [None] * len(learning)
        gradients: Iterator[Tensor | None] = iter(merged or nothing)
        given = [next(gradients) if source.requires_grad else None for source in ctx.sources]
        return (None, None, None, None, *given)


def _merge(
    fork: Fork,
    cut: Sequence[Tensor],
    branches: Sequence[Sequence[Tensor | None]],
    learning: Sequence[Tensor],
    alignments: Sequence[RowAlignment | None],
    dense: int,
) -> list[Tensor] | None:
    if not fork.due() and not fork.measure:
        # The last weights serve: they are applied at the cut, for one pass through the trunk instead of T.
        weighted = fork.reweigh(branches)
        return _pull(cut, weighted, learning)
    matrix, present = _jacobian(fork, cut, branches, learning, alignments)
    merged = _combine(fork, matrix, present, dense)
    if merged is None:
        return None
    pieces = torch.split(merged, _sizes(learning, alignments))
    met = [p if alignment is None else alignment.leave(p) for p, alignment in zip(pieces, alignments, strict=True)]
    return [piece.view_as(source).to(source.dtype) for piece, source in zip(met, learning, strict=True)]


def _sizes(learning: Sequence[Tensor], alignments: Sequence[RowAlignment | None]) -> list[int]:
    """How many numbers of a row of the Jacobian belong to each source."""
    return [
        source.numel() if alignment is None else len(alignment) * source.shape[1]
        for source, alignment in zip(learning, alignments, strict=True)
    ]


def _jacobian(
    fork: Fork,
    cut: Sequence[Tensor],
    branches: Sequence[Sequence[Tensor | None]],
    learning: Sequence[Tensor],
    alignments: Sequence[RowAlignment | None],
) -> tuple[Tensor, list[int]]:
    """Each present task's gradient over all sources `[P, M]`, and which tasks those are."""
    alive = [any(c is not None and bool(c.any()) for c in branch) for branch in branches]
    over_processes = fork.process_group is not None
    present = [t for t in range(fork.tasks) if alive[t] or over_processes]
    wide = torch.float64 if learning[0].dtype == torch.float64 else torch.float32
    matrix = fork.rows(len(present), sum(_sizes(learning, alignments)), wide, learning[0].device)
    for row, t in zip(matrix, present, strict=True):
        if alive[t]:
            pulled = zip(_pull(cut, branches[t], learning), alignments, strict=True)
            met = [gradient if alignment is None else alignment.join(gradient) for gradient, alignment in pulled]
            torch.cat([gradient.flatten().to(wide) for gradient in met], out=row)
        else:
            row.zero_()
    if over_processes:
        dist.all_reduce(matrix, group=fork.process_group)
        matrix /= dist.get_world_size(fork.process_group)
        # A task is absent only where it is absent on every process.
        present = [t for t in present if bool(matrix[t].any())]
        matrix = matrix if len(present) == fork.tasks else matrix[present]
    return matrix, present


def _combine(fork: Fork, matrix: Tensor, present: list[int], dense: int) -> Tensor | None:
    balancer = fork.balancer
    if not isinstance(balancer, JacobianBalancer) or balancer.at_fork:
        # Averaged rows are the same on every process: there is nothing to sum over processes.
        return fork.combine(matrix, present)
    # State lies on the trunk's dense parameters, the last of each row; leaves before them take the method's weights.
    if not present:
        return None
    gramian = fork.products(matrix, present)
    if not gramian.isfinite().all():
        # As in the fork: the scaler or the loop deals with it, and no moving average must take it in.
        fork.record(gramian)
        return matrix.sum(0)
    split = matrix.shape[1] - dense
    combined = balancer(matrix[:, split:], present)
    weights = balancer.weights[present].to(matrix)
    fork.record(gramian, balancer.weights)
    return torch.cat([weights @ matrix[:, :split], combined])


def _pull(cut: Sequence[Tensor], cotangents: Sequence[Tensor | None], learning: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of each source when the cut has these cotangents; zeros where it has none."""
    pairs = [(t, c) for t, c in zip(cut, cotangents, strict=True) if c is not None and t.requires_grad]
    gradients = torch.autograd.grad(
        [t for t, _ in pairs], learning, [c for _, c in pairs], retain_graph=True, allow_unused=True
    )
    return [torch.zeros_like(s) if g is None else g for g, s in zip(gradients, learning, strict=True)]
