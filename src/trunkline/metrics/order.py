"""Ranks of values, with ties on one place."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Order:
    """The order of N values, D of them distinct; one sort.

    Attributes:
        place: `[N]` int64, each value's place 0 … D-1 among the distinct ones, smallest first.
        counts: `[D]` int64, how often each distinct value occurs.
    """

    place: Tensor
    counts: Tensor

    @classmethod
    def of(cls, values: Tensor) -> "Order":
        """The order of values `[N]`."""
        _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
        return cls(place, counts)

    @property
    def varied(self) -> bool:
        """Whether two values differ."""
        return len(self.counts) > 1

    @cached_property
    def ranks(self) -> Tensor:
        """Ranks 1 … N `[N]` float64; equal values share the mean of theirs."""
        return (self.counts.cumsum(0) - (self.counts.double() - 1) / 2)[self.place]
