"""One number a task for all processes of a distributed training, so that no two of them weigh differently."""

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
