"""Streaming mean and variance of rows that arrive in chunks."""

from typing import Any, final

import numpy as np


@final
class Moments:
    """Count, mean and standard deviation, merged chunk by chunk in float64.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979), eq.
    2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._squares = np.zeros(())

    def add(self, values: np.ndarray) -> None:
        """Take in `[n]` or `[n, k]` finite float64 values; k stays the same."""
        if len(values):
            with np.errstate(over="ignore", invalid="ignore"):
                mean = values.mean(axis=0)
                apart = values - mean
                np.square(apart, out=apart)
                self.merge(len(values), mean, apart.mean(axis=0))

    def merge(self, count: int, mean: Any, variance: Any) -> None:
        """Take in further values by their count, mean and variance, each `[]` or `[k]`."""
        if not count:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            total = self.count + count
            delta = mean - self._mean
            self._mean = self._mean + delta * (count / total)
            self._squares = self._squares + variance * count + delta * delta * (self.count * count / total)
        self.count = total

    @property
    def mean(self) -> np.ndarray:
        """`[]` or `[k]`; 0 of nothing."""
        return self._mean

    @property
    def std(self) -> np.ndarray:
        """`[]` or `[k]`, of the whole population; 0 of nothing, and where no more than rounding sets values apart."""
        std = np.sqrt(self._squares / max(self.count, 1))
        return np.where(std <= 16 * np.finfo(np.float64).eps * np.abs(self._mean), 0.0, std)
