"""Encoded rows in memory, ready to be cut into batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Batch:
    """Some encoded rows.

    Attributes:
        ids: `[N, C]` integers.
        numbers: `[N, M]` float32.
        labels: `{task: [N]}`, NaN where not observed.
        weights: `{task: [N]}` of tasks that have row weights.
    """

    ids: Tensor
    numbers: Tensor
    labels: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Tensor | slice) -> "Batch":
        """Those rows."""
        return Batch(
            self.ids[rows],
            self.numbers[rows],
            {name: label[rows] for name, label in self.labels.items()},
            {name: weight[rows] for name, weight in self.weights.items()},
        )

    def to(self, device: torch.device) -> "Batch":
        """The same rows on another device; float32 where it knows no float64 (mps)."""
        if device.type == "cpu":
            return self
        float64 = torch.float32 if device.type == "mps" else torch.float64

        def move(tensor: Tensor) -> Tensor:
            dtype = float64 if tensor.dtype == torch.float64 else tensor.dtype
            return tensor.to(device=device, dtype=dtype, non_blocking=True)

        return Batch(
            move(self.ids),
            move(self.numbers),
            {name: move(label) for name, label in self.labels.items()},
            {name: move(weight) for name, weight in self.weights.items()},
        )
