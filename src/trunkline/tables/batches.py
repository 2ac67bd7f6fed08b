"""Batches of a store: shuffled by (seed, epoch) for training, in order for everything else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from trunkline.errors import UserError
from trunkline.tables.batch import Batch
from trunkline.tables.prefetch import ahead
from trunkline.tables.store import Store

BLOCK = 1024
"""Consecutive rows that stay together when a table larger than a window is shuffled: what is read at once."""
WINDOW = 256 * BLOCK
"""Rows that are shuffled among one another."""
WINDOW_BYTES = 1 << 28
"""Wide rows make a smaller window."""
PIECES = 8
"""A window is gathered in so many pieces, so that no step waits for a whole one."""


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

    store: Store
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"batch size {self.size}: it must be at least 1")

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.store) // self.size)

    def shuffled(self, epoch: int, *, start: int = 0, then: Callable[[Batch], Batch] | None = None) -> Iterator[Batch]:
        """The batches of one epoch from batch number `start` on; their rows are a function of (seed, epoch).

        Blocks of consecutive rows come in random order, and the rows of as many blocks as make a window are shuffled
        among one another: a table of up to a window of rows is shuffled as a whole, and a longer one is read nearly
        in sequence. A thread makes the next batches while one is used; it ends with the generator.

        Args:
            epoch: its number.
            start: batches to leave out; no row of theirs is read.
            then: what else to do to every batch in that thread.
        """
        return ahead(self._made(epoch, start, then))

    def ordered(self) -> Iterator[Batch]:
        """All rows once, in order; the batches are views of the store."""
        step = max(1, self._window // self.size) * self.size
        for start in range(0, len(self.store), step):
            yield from self.store.rows.take(slice(start, start + step)).split(self.size)
            self.store.release()

    def rows_of(self, epoch: int, batch: int) -> np.ndarray:
        """The numbers of the rows in one batch of `shuffled`, in its order."""
        return next(self._order(epoch, batch * self.size))[: self.size]

    def _made(self, epoch: int, start: int, then: Callable[[Batch], Batch] | None) -> Iterator[Batch]:
        try:
            for rows in self._order(epoch, start * self.size):
                for batch in self.store.rows.take(torch.from_numpy(rows)).split(self.size):
                    yield batch if then is None else then(batch)
        finally:
            self.store.release()

    def _order(self, epoch: int, start: int) -> Iterator[np.ndarray]:
        """Row numbers from the `start`-th of the epoch on, as many at a time as fill some batches."""
        step = max(1, self._window // PIECES // self.size) * self.size
        shuffle = _Shuffle(len(self.store), self._window, seed=self.seed, epoch=epoch)
        rest = np.empty(0, dtype=np.int64)
        for window in range(shuffle.windows):
            first, last = shuffle.start(window), shuffle.start(window + 1)
            if last <= start:
                continue
            rest = np.concatenate([rest, shuffle.rows(window)[max(0, start - first) :]])
            while len(rest) >= step:
                yield rest[:step]
                rest = rest[step:]
            self.store.release()
        if len(rest):
            yield rest

    @property
    def _window(self) -> int:
        """Rows of a window, in whole blocks and at least a batch."""
        fit = WINDOW_BYTES * len(self.store) // max(self.store.bytes, 1)
        return -(-max(self.size, min(WINDOW, fit)) // BLOCK) * BLOCK


@final
class _Shuffle:
    """The order of one epoch's rows.

    Args:
        count: of all rows.
        window: rows of a window, in whole blocks.
        seed: of the order.
        epoch: likewise.
    """

    def __init__(self, count: int, window: int, *, seed: int, epoch: int) -> None:
        self.count, self.seed, self.epoch = count, seed, epoch
        self.blocks = np.random.default_rng((seed, epoch)).permutation(-(-count // BLOCK))
        self.width = window // BLOCK
        self.windows = -(-len(self.blocks) // self.width)
        # All blocks are full but the table's last, so every window after the one that holds it starts earlier.
        self.missing = len(self.blocks) * BLOCK - count
        self.short = int(self.blocks.argmax()) // self.width if count else 0

    def start(self, window: int) -> int:
        """Rows before a window."""
        if window >= self.windows:
            return self.count
        return window * self.width * BLOCK - (self.missing if window > self.short else 0)

    def rows(self, window: int) -> np.ndarray:
        """The row numbers of a window, shuffled."""
        blocks = self.blocks[window * self.width : (window + 1) * self.width]
        rows = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        # numpy pads a short seed with zeros: window 0 would be drawn as the blocks were
        return np.random.default_rng((self.seed, self.epoch, window + 1)).permutation(rows[rows < self.count])
