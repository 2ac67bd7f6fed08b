"""Batches of a store: shuffled by (seed, epoch) for training, in order for everything else."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from trunkline.errors import UserError
from trunkline.tables.store import Batch


@final
@dataclass(frozen=True, kw_only=True)
class Batches:
    """The way through a store.

    Attributes:
        store: all rows.
        size: rows a batch; the last one of an epoch may be smaller.
        seed: of the order of rows.

    Raises:
        UserError: a size below 1.
    """

    store: Batch
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"batch size {self.size}: it must be at least 1")

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.store) // self.size)

    def shuffled(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from batch number `start` on; their rows are a function of (seed, epoch)."""
        order = torch.from_numpy(np.random.default_rng((self.seed, epoch)).permutation(len(self.store)))
        for i in range(start, len(self)):
            yield self.store.take(order[i * self.size : (i + 1) * self.size])

    def ordered(self) -> Iterator[Batch]:
        """All rows once, in order."""
        for i in range(len(self)):
            yield self.store.take(slice(i * self.size, (i + 1) * self.size))
