"""Codes that happen to be whole numbers, told from quantities by how their values lie and come back."""

import math

import numpy as np
import polars as pl

from trunkline.tables.doctor.names import QUANTITY

LEAST_CODES, MOST_SPREAD, UNLIKE = 30, 50, 0.4
"""Different values, and how far they may be apart, for their frequencies to be compared; the step between the
logarithms of neighbours' frequencies, beyond their noise, from which whole numbers are codes."""
GAPS = 0.25
"""Share of whole numbers that never come, between the least and the greatest, from which they are codes."""
LEAST_ROWS, LEAST_REPEATS = 500, 3
"""Rows, and rows for each different value, below which nothing is concluded."""
ROUND = 0.5
"""Share of multiples of five beyond which numbers are rounded, as amounts are."""


def why_coded(name: str, numbers: pl.Series) -> str:
    """Why whole numbers are rather codes than quantities; empty where they are not.

    Args:
        name: of the column; one that names a quantity decides.
        numbers: `[N]` float64, without nulls.
    """
    values = numbers.to_numpy()
    if len(values) < LEAST_ROWS or (values != np.floor(values)).any() or (values < 0).any() or QUANTITY.search(name):
        return ""
    if looks_coded(values):
        return "whole numbers that come about as often as they like, whatever their neighbours do"
    return "whole numbers far apart that come again and again" if looks_keyed(values) else ""


def looks_coded(values: np.ndarray) -> bool:
    """Whether whole numbers that lie close are codes: how often one occurs says nothing of its neighbour.

    Ages, counts and days come about as often as the next higher ones; shops and agents do not.

    Args:
        values: `[N]` float64, whole and not below 0.
    """
    low, high = (int(end) for end in np.quantile(values, [0.01, 0.99]))
    distinct = len(np.unique(values))
    if distinct < LEAST_CODES or high - low < LEAST_CODES or high - low > MOST_SPREAD * distinct:
        return False
    counts = np.bincount((values[(values >= low) & (values <= high)] - low).astype(np.int64))
    steps = np.abs(np.diff(np.log1p(counts)))
    # Counts of a smooth distribution differ by their own noise alone.
    noise = np.sqrt(1 / (1 + counts[:-1]) + 1 / (1 + counts[1:]))
    # Of codes many are never used; of quantities few where so many rows lie so close, unless they are rounded.
    gaps = len(values) >= 5 * len(counts) and (counts == 0).mean() > GAPS and (values % 5 == 0).mean() < ROUND
    return bool(gaps or np.median(steps) > UNLIKE + np.median(noise))


def looks_keyed(values: np.ndarray) -> bool:
    """Whether whole numbers that lie far apart are keys or hashes: few, evenly spread, coming again and again.

    Amounts are dense where they are small, and rounded.

    Args:
        values: as in `looks_coded`.
    """
    distinct = np.unique(values)
    span = float(distinct[-1] - distinct[0])
    if (
        len(distinct) < LEAST_CODES
        or len(values) < LEAST_REPEATS * len(distinct)
        or span <= MOST_SPREAD * len(distinct)
    ):
        return False
    # Kolmogorov's distance to the uniform distribution, at a level of one in a hundred.
    even = (distinct - distinct[0]) / span
    steps = np.arange(1, len(even) + 1) / len(even)
    apart = max(float((steps - even).max()), float((even - steps + 1 / len(even)).max()))
    return apart < 1.63 / math.sqrt(len(even)) and float((distinct % 5 == 0).mean()) < ROUND
