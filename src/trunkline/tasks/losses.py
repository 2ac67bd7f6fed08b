"""Loss reduction: one loss a task, the mean over its observed rows."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trunkline.tasks.base import Task
from trunkline.tasks.space import joint


def task_losses(
    tasks: Sequence[Task],
    raws: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    weights: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The loss of each task over its observed rows, and whether it has any.

    A row whose label is NaN, or whose weight is 0, takes no part: its raw output receives a gradient of exactly
    zero even where it is infinite or NaN.

    Args:
        tasks: T tasks; the loss of one with a `space` is that of its joint probability (see `joint`).
        raws: `{task: [N, outputs]}` of the towers; half precision is raised to float32 here.
        labels: `{task: [N]}` with NaN where not observed (`sample_space` applies `where`).
        weights: `{task: [N]}` for the tasks that have row weights.

    Returns:
        losses `[T]` in nats, 0 for a task without an observed row; active `[T]` boolean.
    """
    losses, active, given = [], [], weights or {}
    if any(task.space for task in tasks):
        counted = {task.name: _counted(labels[task.name], given.get(task.name)) for task in tasks}
        raws = joint(tasks, raws, observed=counted)
    for task in tasks:
        loss, observed = mean_loss(task, raws[task.name], labels[task.name], given.get(task.name))
        losses.append(loss)
        active.append(observed)
    return torch.stack(losses), torch.stack(active)


def mean_loss(task: Task, raw: Tensor, label: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weighted mean of one task's loss over its observed rows `[]`, and whether there is one `[]`."""
    if raw.dtype in (torch.float16, torch.bfloat16):
        raw = raw.float()
    observed = _counted(label, weight)
    # Both branches of `where` are differentiated, so the values of unobserved rows must be harmless beforehand.
    rows = task.loss(torch.where(observed[:, None], raw, 0.0), torch.where(observed, label, 0.0))
    share = observed.to(rows.dtype)
    if weight is not None:
        share = torch.where(observed, weight.to(rows.dtype), 0.0)
    total = share.sum()
    active = total > 0
    return (rows * share).sum() / torch.where(active, total, 1.0), active


def _counted(label: Tensor, weight: Tensor | None) -> Tensor:
    """Which rows take part `[N]`."""
    return ~label.isnan() if weight is None else ~label.isnan() & (weight > 0)
