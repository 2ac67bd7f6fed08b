"""Paired bootstrap: headline metrics of many runs on the same resamples of the test rows."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

from trunkline.insight.statistics.predictions import Judged
from trunkline.insight.statistics.weighted import MAKERS, Numbers, Weighted

K = TypeVar("K", bound=Hashable)
RESAMPLES = 500
"""Enough for a standard error: that of the standard error itself is 3 %."""
_ELEMENTS = 1 << 22
"""Of the largest array that is worked on at once."""


def resampled(
    judged: Judged, values: Mapping[K, Numbers], rows: int, *, resamples: int = RESAMPLES
) -> dict[K, tuple[float, Numbers]]:
    """The task's headline metric of several runs: on the test rows, and on resamples of them `[B]`.

    A row counts Poisson(1) times in a resample (Hanley and MacGibbon 2006), the same number of times for every run and
    every task: differences between runs are paired, and those of several tasks go together as their rows do.

    Args:
        judged: the task's rows.
        values: of each run, what the metric reads of them.
        rows: of the whole test part, those included of which this task knows nothing.
        resamples: B.
    """
    makers: dict[K, Weighted] = {
        key: MAKERS[judged.task.headline](value, judged.target) for key, value in values.items()
    }
    once = np.ones((len(judged.rows), 1))
    found = {key: float(maker(once)[0]) if len(once) else float("nan") for key, maker in makers.items()}
    chunks: dict[K, list[Numbers]] = {key: [] for key in makers}
    width = max(1, min(32, _ELEMENTS // max(rows, 1)))
    for start in range(0, resamples if len(once) else 0, width):
        draw = np.random.default_rng((0, start))
        counts = draw.poisson(1.0, size=(rows, min(width, resamples - start)))
        weights = counts[judged.rows].astype(np.float64)
        for key, maker in makers.items():
            chunks[key].append(maker(weights))
    empty = np.full(resamples, np.nan)
    return {key: (found[key], np.concatenate(chunks[key]) if chunks[key] else empty) for key in makers}
