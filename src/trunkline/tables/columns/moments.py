"""Mean and spread of rows that arrive in chunks."""

from typing import final

import numpy as np


@final
class Moments:
    """Count, mean and standard deviation, merged chunk by chunk in float64.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979), eq.
    2.1. Everything is held as a distance from the first value, so that a constant has no spread at all.
    """

    def __init__(self) -> None:
        self.count = 0
        self._first = self._offset = self._squares = np.zeros(())

    def add(self, values: np.ndarray) -> None:
        """Take in `[n]` or `[n, k]` finite float64 values; k stays the same."""
        n = len(values)
        if not n:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            if not self.count:
                self._first = np.array(values[0])
                self._offset, self._squares = np.zeros_like(self._first), np.zeros_like(self._first)
            apart = values - self._first
            mean = apart.mean(axis=0)
            apart -= mean
            np.square(apart, out=apart)
            delta, total = mean - self._offset, self.count + n
            self._offset = self._offset + delta * (n / total)
            self._squares = self._squares + apart.sum(axis=0) + delta * delta * (self.count * n / total)
        self.count = total

    @property
    def mean(self) -> np.ndarray:
        """`[]` or `[k]`; 0 of nothing."""
        return self._first + self._offset

    @property
    def std(self) -> np.ndarray:
        """`[]` or `[k]`, of the whole population; 0 of nothing."""
        return np.sqrt(self._squares / max(self.count, 1))
