"""Embedding lookup with gradients that cost what was looked up."""

from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional as F

from trunkline.eager_only import EagerOnly


@final
class Unique(NamedTuple):
    """Lookup plan: what one batch looks up in one table, L rows in all.

    Attributes:
        rows: `[U]` int64, the table's rows, each once, in order.
        order: `[L]` int64, the lookups, those of the first row first.
        starts: `[U]` int64, where in `order` those of each row begin.
    """

    rows: Tensor
    order: Tensor
    starts: Tensor

    def places(self) -> Tensor:
        """`[L]` int64: for each lookup where in `rows` its row lies."""
        lengths = torch.cat([self.starts, self.starts.new_tensor([len(self.order)])]).diff()
        sorted_places = torch.repeat_interleave(lengths, output_size=len(self.order))
        return torch.empty_like(self.order).scatter_(0, self.order, sorted_places)


@torch.no_grad()
def unique(looked_up: Tensor) -> Unique:
    """Of lookups `[L]`."""
    rows, order = looked_up.sort(stable=True)
    first = torch.ones_like(rows, dtype=torch.bool)
    torch.ne(rows[1:], rows[:-1], out=first[1:])
    starts = first.nonzero().flatten()
    return Unique(rows[starts].long(), order, starts)


def look_up(table: Tensor, ids: Tensor) -> Tensor:
    """`table[ids]`, ids of any shape; the gradient is dense, as long as the table."""
    # A compiler makes its own of torch's.
    ours = torch.is_grad_enabled() and table.requires_grad and not torch.compiler.is_compiling()
    if ours and table.device.type == "cpu":
        vectors: Tensor = _Dense.apply(table, ids)  # type: ignore[no-untyped-call]
        return vectors
    return F.embedding(ids, table)


@EagerOnly  # a compiler cannot trace sparse gradients
def look_up_sparse(table: Tensor, ids: Tensor, found: Unique) -> Tensor:
    """`table[ids]`, ids of any shape; the gradient is sparse: each row stands in it once, in order.

    Args:
        table: `[R, width]`.
        ids: of any shape.
        found: what `unique` says of these ids.
    """
    vectors: Tensor = _Sparse.apply(table, ids, *found)  # type: ignore[no-untyped-call]
    return vectors


@EagerOnly  # likewise
def rows_of(table: Tensor, rows: Tensor) -> Tensor:
    """`table[rows]` `[U, width]`, whose gradient is sparse: each row stands in it once, in order.

    Args:
        table: `[R, width]`.
        rows: `[U]` int64, each at most once, in order.
    """
    vectors: Tensor = _Rows.apply(table, rows)  # type: ignore[no-untyped-call]
    return vectors


@EagerOnly  # its tracing of such functions warns
def sum_lists(vectors: Tensor, offsets: Tensor) -> Tensor:
    """The sums `[N, width]` of ragged lists of vectors.

    Args:
        vectors: `[K, width]`, one list after another.
        offsets: `[N + 1]` int64, where each list begins; the last is K.
    """
    sums: Tensor = _SumLists.apply(vectors, offsets)  # type: ignore[no-untyped-call]
    return sums


class _SumLists(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, offsets: Tensor) -> Tensor:
        ctx.save_for_backward(offsets)
        ctx.count = len(vectors)
        every = torch.arange(len(vectors), device=offsets.device)
        return F.embedding_bag(every, vectors, offsets, mode="sum", include_last_offset=True)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (offsets,) = ctx.saved_tensors
        row = torch.repeat_interleave(offsets.diff(), output_size=ctx.count)
        return gradient.index_select(0, row), None


class _Dense(torch.autograd.Function):
    """As `F.embedding`, whose backward on a CPU takes several times as long."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.size = table.shape
        return F.embedding(ids, table)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        rows = ids.flatten().long()  # with int32 `index_add_` takes four times as long
        return gradient.new_zeros(ctx.size).index_add_(0, rows, gradient.reshape(-1, ctx.size[1])), None


class _Sparse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor, rows: Tensor, order: Tensor, starts: Tensor) -> Tensor:
        ctx.save_for_backward(rows, order, starts)
        ctx.size = table.shape
        return F.embedding(ids, table)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, order, starts = ctx.saved_tensors
        # A bag of its lookups for each row: by far the fastest sum over groups that torch has on a CPU.
        summed = F.embedding_bag(order, gradient.reshape(-1, ctx.size[1]), starts, mode="sum")
        return _sparse(rows, summed, ctx.size), None, None, None, None


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.size = table.shape
        return table.index_select(0, rows)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return _sparse(rows, gradient, ctx.size), None


def _sparse(rows: Tensor, values: Tensor, size: torch.Size) -> Tensor:
    return torch.sparse_coo_tensor(rows[None], values, size, is_coalesced=True, check_invariants=False)
