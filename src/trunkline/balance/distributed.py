"""All-reduce of per-task numbers, so that no two processes of a distributed training weigh tasks differently."""

import torch
import torch.distributed as dist
from torch import Tensor


@torch.no_grad()
def mean_over_processes(losses: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """Each task's mean over the processes in which it is active, and whether there is one; detached.

    A balancer whose weights follow the losses takes them from here: weights from one process's own losses would part
    from those of the others. One all-reduce of 2T numbers, so every process must call it; nothing happens without a
    process group.

    Args:
        losses: `[T]`, anything where `active` is false.
        active: `[T]` boolean.

    Returns:
        Means `[T]`, 0 for a task that is active in no process, and active `[T]` in any process.
    """
    losses = torch.where(active, losses.detach(), 0.0)
    if not (dist.is_available() and dist.is_initialized()):
        return losses, active
    sums = torch.stack([losses, active.to(losses.dtype)])
    dist.all_reduce(sums)
    return sums[0] / sums[1].clamp(min=1), sums[1] > 0


def with_group_mean(losses: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """Losses with the values of their means over the processes, and the gradients of this process's own.

    For objectives that are not linear in the losses: each process then multiplies its gradients by the weights that
    the whole batch calls for, and averaging gradients over processes gives what one process would compute.

    Args:
        losses: `[T]`, anything where `active` is false.
        active: `[T]` boolean.

    Returns:
        Losses `[T]` and active `[T]` in any process; what was given, without a process group.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return losses, active
    means, present = mean_over_processes(losses, active)
    return torch.where(active, losses + (means - losses).detach(), means), present
