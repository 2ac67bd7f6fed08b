"""Batches whose loss, or whose gradient, is not a number: found before anything is learnt from them."""

from collections.abc import Iterable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from trunkline.network import Network, evaluating
from trunkline.tables import Batch
from trunkline.tasks import joint
from trunkline.tasks.cascade import sample_space

_SHOWN = 10
"""Row numbers in a message."""


@final
class NonFiniteGradients(Exception):
    """A finite loss had a gradient that is not."""


def check_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Find a gradient that is not a number, or infinite.

    Raises:
        NonFiniteGradients: there is one.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    dense = [g._values() if g.is_sparse else g for g in gradients]
    if dense and not torch.stack(torch._foreach_norm(dense)).isfinite().all():
        raise NonFiniteGradients


def broken_tasks(names: Sequence[str], losses: Tensor) -> list[str]:
    """The tasks whose losses `[T]` are not numbers, or infinite."""
    return [name for name, fine in zip(names, losses.isfinite().tolist(), strict=True) if not fine]


@torch.no_grad()
def bad_rows(network: Network, batch: Batch) -> list[int]:
    """The rows of a batch for which some task's loss is no number when each is taken by itself, without dropout."""
    with evaluating(network):
        raws = joint(network.tasks, network(batch.ids, batch.numbers, batch.lists))
    labels, bad = sample_space(network.tasks, batch.labels), torch.zeros(len(batch), dtype=torch.bool)
    for task in network.tasks:
        label = labels[task.name]
        observed = ~label.isnan()
        if task.name in batch.weights:
            observed &= batch.weights[task.name] > 0
        loss = task.loss(raws[task.name].float(), torch.where(observed, label, 0.0))
        bad |= (observed & ~loss.isfinite()).cpu()
    return [int(row) for row in bad.nonzero()]


def nonfinite_message(broken: Sequence[str], *, step: int, epoch: int, rows: Sequence[int]) -> str:
    """What to tell of a batch that stops the training.

    Args:
        broken: tasks whose loss was no number; none where it was the gradient.
        step: of the training.
        epoch: from 0.
        rows: of the training part that are to blame, from 0; none where no single row is.
    """
    what = f"the loss of {', '.join(broken)}" if broken else "the gradient"
    more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
    which = f", training rows {', '.join(str(row + 1) for row in rows[:_SHOWN])}{more}" if rows else ""
    return (
        f"{what} was not a number at step {step} (epoch {epoch + 1}{which}); lower optimizer.lr, or the rate of its "
        "subnet, or look for extreme values in the features; training.bad_batches leaves such batches out"
    )
