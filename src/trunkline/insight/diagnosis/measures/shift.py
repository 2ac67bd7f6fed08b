"""Distribution shift of columns between two parts."""

import math

import numpy as np

from trunkline.insight.diagnosis.measures.keys import KeyedColumn
from trunkline.nn.embedding import UNSEEN

MOST = 32
"""Keys that are compared, the most frequent in training; the rest counts as one."""
ROWS = 10
"""A key for so many rows of the smaller part, at most: shares of less are luck."""
EXTREME = 3.0
"""Standard deviations above what chance gives on average, up to which all is put down to chance."""


def stability_index(column: KeyedColumn, part: str) -> float:
    """Population stability index Σ (q - p)·ln(q / p) of a part's shares q against the training rows' p, above chance.

    Two samples of one distribution differ too: their index is (1/N + 1/M) times a χ² with one degree of freedom less
    than there are keys, and so much of it is taken off as chance could give. Half a row is added to every count, lest a
    key without rows make the index infinite.
    """
    train, other = column.parts["train"].values, column.parts[part].values
    smaller = min(len(train), len(other))
    if smaller < 2 * ROWS:
        return 0.0
    keys, counts = np.unique(train, return_counts=True)
    kept = np.sort(keys[np.argsort(-counts, kind="stable")[: min(MOST, smaller // ROWS)]])

    def shares(values: np.ndarray) -> np.ndarray:
        found = np.minimum(np.searchsorted(kept, values), len(kept) - 1)
        place = np.where(kept[found] == values, found, len(kept))
        return np.asarray(np.bincount(place, minlength=len(kept) + 1) + 0.5) / (len(values) + (len(kept) + 1) / 2)

    p, q = shares(train), shares(other)
    chance = (len(kept) + EXTREME * math.sqrt(2 * len(kept))) * (1 / len(train) + 1 / len(other))
    return max(float(((q - p) * np.log(q / p)).sum()) - chance, 0.0)


def unseen_share(column: KeyedColumn, part: str) -> float | None:
    """Share of a part's ids that training did not have, or too rarely; None where ids have no vocabulary."""
    if column.kind not in ("categorical", "bag", "sequence"):
        return None
    values = column.parts[part].values
    return float((values == UNSEEN).mean()) if len(values) else 0.0
