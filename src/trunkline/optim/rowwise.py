"""Row-sparse optimisers: a step touches the batch's rows and their moments, nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from trunkline.errors import UserError
from trunkline.nn.huge_pages import hint_huge_pages

CHUNK = 2048
"""Rows updated at a time on a CPU: what is read of them is still in its cache when it is written back."""


class RowWise(Optimizer, ABC):
    """What both have in common: one state `[R, extra]` a table, read and written at the gradient's rows alone."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the rows that the gradients name.

        Raises:
            UserError: a parameter with a dense gradient, or one that is no table.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                if not table.grad.is_sparse or table.dim() != 2:
                    raise UserError(
                        f"{type(self).__name__} is for tables with row-sparse gradients, and got a dense gradient of "
                        f"shape {list(table.grad.shape)}; give it `Embedding.row_sparse()` alone"
                    )
                self._step(table, table.grad, group)
        return loss

    def _step(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        rows, values = _each_once(gradient)
        if not len(rows):
            return
        kept = self.state[table]
        if not kept:
            kept["rows"] = hint_huge_pages(table.new_empty(len(table), self.extra(table.shape[1], group))).zero_()
            kept["step"] = torch.zeros(())
        kept["step"] += 1
        state, count = kept["rows"], float(kept["step"])
        some = CHUNK if table.device.type == "cpu" else len(rows)
        for part, gradients in zip(torch.split(rows, some), torch.split(values, some), strict=True):
            now = state.index_select(0, part)
            move = self.move(gradients, now, group, count)
            state.index_copy_(0, part, now)
            vectors = table.index_select(0, part)
            if group["weight_decay"]:
                vectors.mul_(1 - group["lr"] * group["weight_decay"])
            table.index_copy_(0, part, vectors.sub_(move.mul_(group["lr"])))

    @staticmethod
    @abstractmethod
    def extra(width: int, group: dict[str, Any]) -> int:
        """How many numbers of state a row of this width has."""

    @staticmethod
    @abstractmethod
    def move(gradient: Tensor, state: Tensor, group: dict[str, Any], step: float) -> Tensor:
        """What `lr` times is taken from the rows `[U, width]`; their state `[U, extra]` is brought up to date.

        Args:
            gradient: `[U, width]`.
            state: changed in place.
            group: the optimiser's options.
            step: number of this table's steps, this one included.
        """


def _each_once(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The rows `[U]` of a row-sparse gradient, each once, and their values `[U, width]`."""
    rows = gradient._indices()[0]
    # Autograd forgets on the way that a gradient was coalesced; to see that it still is costs less than to do it again.
    if not bool((rows.diff() > 0).all()):
        gradient = gradient.coalesce()
    return gradient._indices()[0], gradient._values()


def _mean_square(gradient: Tensor) -> Tensor:
    """`[U]`: of each row; as a product, which is several times faster than `mean` over so few."""
    return torch.mv(gradient.square(), gradient.new_full((gradient.shape[1],), 1 / gradient.shape[1]))


@final
class RowAdam(RowWise):
    """Adam with one second moment a row, the mean of its squares (FBGEMM's partial row-wise Adam).

    A row's moments stand still while no batch holds it; the bias is corrected by the number of all steps (as torch's
    `SparseAdam` does). Memory: one float a row beside the table's `width`, `width` more with β₁ > 0; dense Adam needs
    `2·width`. Decay is decoupled (AdamW) and reaches the batch's rows.

    β₁ is 0 unless told otherwise: dense Adam spreads a gradient's effect over the steps that follow, which a row that
    no batch holds then would miss; here it is taken at once.

    NOTE[DIFF]: a bias correction by each row's own number of steps was tried and dropped. It makes a rare row's step
    about 1/√(1-β₂) ≈ 30 times shorter than dense Adam's in all, and rows that are seen a few times an epoch hardly
    learn (KuaiRand, user ids: click AUC .711 against .718, like .77 against .80).

    Args:
        params: tables with row-sparse gradients, or groups of them.
        lr: learning rate, >= 0.
        betas: β₁ and β₂, in [0, 1).
        eps: added to the root.
        weight_decay: decoupled, >= 0.

    Raises:
        UserError: a value out of range; in `step`, a dense gradient.

    Examples:
        >>> from trunkline import Embedding
        >>> embedding = Embedding([1_000_000], [8], 0, sparse_above=0)
        >>> optimizer = RowAdam(embedding.row_sparse(), lr=0.01)
        >>> embedding(torch.tensor([[3], [5]]), torch.empty(2, 0)).sum().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.0, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not (lr >= 0 and weight_decay >= 0 and eps >= 0 and all(0 <= beta < 1 for beta in betas)):
            raise UserError(
                f"lr {lr}, betas {betas}, eps {eps}, weight_decay {weight_decay}: none below 0, betas below 1"
            )
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @staticmethod
    def extra(width: int, group: dict[str, Any]) -> int:
        """The second moment, and the first where there is one."""
        return 1 + (width if group["betas"][0] else 0)

    @staticmethod
    def move(gradient: Tensor, state: Tensor, group: dict[str, Any], step: float) -> Tensor:
        """m̂ / (√v̂ + ε)."""
        beta1, beta2 = group["betas"]
        second = state[:, 0].lerp_(_mean_square(gradient), 1 - beta2)
        first = state[:, 1:].lerp_(gradient, 1 - beta1) if beta1 else gradient
        root = second.div(1 - beta2**step).sqrt_().add_(group["eps"]).mul_(1 - beta1**step)
        return first / root[:, None]


@final
class RowAdagrad(RowWise):
    """Adagrad with one sum of squares a row, the mean over its components (FBGEMM's row-wise Adagrad).

    Memory: one float a row beside the table's `width`. Decay is decoupled and reaches the batch's rows.

    Args:
        params: tables with row-sparse gradients, or groups of them.
        lr: learning rate, >= 0.
        eps: added to the root.
        weight_decay: decoupled, >= 0.

    Raises:
        UserError: a value out of range; in `step`, a dense gradient.
    """

    def __init__(
        self, params: Iterable[Any], *, lr: float = 0.01, eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        if not (lr >= 0 and weight_decay >= 0 and eps >= 0):
            raise UserError(f"lr {lr}, eps {eps}, weight_decay {weight_decay}: none below 0")
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": weight_decay})

    @staticmethod
    def extra(width: int, group: dict[str, Any]) -> int:
        """The sum of squares."""
        return 1

    @staticmethod
    def move(gradient: Tensor, state: Tensor, group: dict[str, Any], step: float) -> Tensor:
        """g / (√s + ε)."""
        state[:, 0] += _mean_square(gradient)
        return gradient / state.sqrt().add_(group["eps"])
