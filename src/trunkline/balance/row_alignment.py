"""Alignment of sparse embedding gradients that several processes hold parts of."""

from typing import final

import torch
import torch.distributed as dist
from torch import Tensor


@final
class RowAlignment:
    """All rows that the processes of a group hold, each once, in order; every process makes one at the same time.

    Args:
        rows: `[U]` int64, those that this process holds, each once.
        group: the processes.
    """

    def __init__(self, rows: Tensor, group: dist.ProcessGroup) -> None:
        self.processes = dist.get_world_size(group)
        longest = torch.tensor(len(rows), device=rows.device)
        dist.all_reduce(longest, op=dist.ReduceOp.MAX, group=group)
        mine = rows.new_full((int(longest),), -1)
        mine[: len(rows)] = rows
        everybodys = [torch.empty_like(mine) for _ in range(self.processes)]
        dist.all_gather(everybodys, mine, group=group)
        held = torch.cat(everybodys)
        self._rows, self._holders = torch.unique(held[held >= 0], return_counts=True)
        self._places = torch.searchsorted(self._rows, rows)

    def __len__(self) -> int:
        """How many rows there are in all."""
        return len(self._rows)

    def join(self, gradient: Tensor) -> Tensor:
        """This process's rows `[U, width]` among all of them `[V, width]`; 0 where it holds none."""
        return gradient.new_zeros(len(self), gradient.shape[1]).index_copy(0, self._places, gradient)

    def leave(self, merged: Tensor) -> Tensor:
        """What this process has to put in for its rows `[U, width]`, so that the mean over processes is `merged`.

        A mean over processes divides what the holders of a row put in by the number of all of them.
        """
        rows: Tensor = merged.view(len(self), -1)[self._places] * self.processes
        holders: Tensor = self._holders[self._places]
        return rows.div(holders[:, None])
