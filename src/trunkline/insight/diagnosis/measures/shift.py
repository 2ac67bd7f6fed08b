"""Distribution shift of columns between two parts."""

import numpy as np

from trunkline.inference.population_stability import population_stability
from trunkline.insight.diagnosis.measures.keys import KeyedColumn
from trunkline.nn.embedding import UNSEEN

MOST = 32
"""Keys that are compared, the most frequent in training; the rest counts as one."""
ROWS = 10
"""A key for so many rows of the smaller part, at most: shares of less are luck."""


def stability_index(column: KeyedColumn, part: str) -> float:
    """Population stability index of a part's keys against the training rows', above chance: `population_stability`."""
    train, other = column.parts["train"].values, column.parts[part].values
    smaller = min(len(train), len(other))
    if smaller < 2 * ROWS:
        return 0.0
    keys, counts = np.unique(train, return_counts=True)
    kept = np.sort(keys[np.argsort(-counts, kind="stable")[: min(MOST, smaller // ROWS)]])

    def counted(values: np.ndarray) -> np.ndarray:
        found = np.minimum(np.searchsorted(kept, values), len(kept) - 1)
        place = np.where(kept[found] == values, found, len(kept))
        return np.bincount(place, minlength=len(kept) + 1)

    return population_stability(counted(train), counted(other))


def unseen_share(column: KeyedColumn, part: str) -> float | None:
    """Share of a part's ids that training did not have, or too rarely; None where ids have no vocabulary."""
    if column.kind not in ("categorical", "bag", "sequence"):
        return None
    values = column.parts[part].values
    return float((values == UNSEEN).mean()) if len(values) else 0.0
