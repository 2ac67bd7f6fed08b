"""A batch of encoded rows: what the network reads of them, their labels and weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from trunkline.nn.inputs import Ragged


@final
@dataclass(frozen=True)
class Batch:
    """Some encoded rows.

    Attributes:
        ids: `[N, C]` integers.
        numbers: `[N, M]` float32.
        labels: `{task: [N]}`, NaN where not observed.
        weights: `{task: [N]}` of tasks that have row weights.
        lists: of each list feature the N rows' ids.
        found: what the embedding found out about these ids ahead of the step; None where nobody looked.
    """

    ids: Tensor
    numbers: Tensor
    labels: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    lists: tuple[Ragged, ...] = ()
    found: Any = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Tensor | slice) -> "Batch":
        """Those rows, of a batch in main memory; `found` is of other rows then, and left out.

        Args:
            rows: positions, in any order and as often as they stand there, whose rows are copied; or a slice, which
                copies nothing.
        """
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step != 1:
                return self.take(torch.arange(len(self))[rows])
            stop = max(start, stop)
            return self._each(lambda tensor: tensor[start:stop], lambda ragged: _slice(ragged, start, stop))
        # numpy gathers in the calling thread alone: threads of torch's would take the training its cores
        positions = rows.numpy()
        return self._each(
            lambda tensor: torch.from_numpy(tensor.numpy().take(positions, axis=0)),
            lambda ragged: _gather(ragged, positions),
        )

    def split(self, size: int) -> "list[Batch]":
        """The rows in order, `size` at a time and the rest at the end, without a copy."""
        starts = range(0, len(self), size)
        labels = {name: torch.split(label, size) for name, label in self.labels.items()}
        weights = {name: torch.split(weight, size) for name, weight in self.weights.items()}
        ids, numbers = torch.split(self.ids, size), torch.split(self.numbers, size)
        return [
            Batch(
                ids[i],
                numbers[i],
                {name: pieces[i] for name, pieces in labels.items()},
                {name: pieces[i] for name, pieces in weights.items()},
                tuple(_slice(ragged, start, min(start + size, len(self))) for ragged in self.lists),
            )
            for i, start in enumerate(starts)
        ]

    def to(self, device: torch.device) -> "Batch":
        """The same rows on another device; float32 where it knows no float64 (mps)."""
        if device.type == "cpu":
            return self
        float64 = torch.float32 if device.type == "mps" else torch.float64

        def move(tensor: Tensor) -> Tensor:
            dtype = float64 if tensor.dtype == torch.float64 else tensor.dtype
            return tensor.to(device=device, dtype=dtype, non_blocking=True)

        return self._moved(move)

    def pin(self) -> "Batch":
        """A copy in pinned memory, from where a GPU fetches without waiting; the batch itself where there is none."""
        return self._moved(lambda tensor: tensor.pin_memory()) if torch.cuda.is_available() else self

    def _moved(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        return self._each(
            move,
            lambda ragged: Ragged(move(ragged.values), move(ragged.offsets)),
            found=tree_map_only(Tensor, move, self.found),
        )

    def _each(
        self, dense: Callable[[Tensor], Tensor], ragged: Callable[[Ragged], Ragged], *, found: Any = None
    ) -> "Batch":
        return Batch(
            dense(self.ids),
            dense(self.numbers),
            {name: dense(label) for name, label in self.labels.items()},
            {name: dense(weight) for name, weight in self.weights.items()},
            tuple(ragged(one) for one in self.lists),
            found,
        )


def _slice(ragged: Ragged, start: int, stop: int) -> Ragged:
    offsets = ragged.offsets[start : stop + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    return Ragged(ragged.values[first:last], offsets - first)


def _gather(ragged: Ragged, rows: np.ndarray) -> Ragged:
    values, offsets = ragged.values.numpy(), ragged.offsets.numpy()
    rows = rows % max(len(offsets) - 1, 1)  # negative positions count from the end, as everywhere
    starts = offsets.take(rows)
    lengths = offsets.take(rows + 1) - starts
    made = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=made[1:])
    positions = np.arange(made[-1]) + np.repeat(starts - made[:-1], lengths)
    return Ragged(torch.from_numpy(values.take(positions)), torch.from_numpy(made))
