"""How far a column's values have moved between two parts."""

import numpy as np

from trunkline.embedding import UNSEEN
from trunkline.insight.measures.keys import KeyedColumn

MOST = 32
"""Keys that are compared, the most frequent in training; the rest counts as one."""
FEWEST = 1e-4
"""Share of rows that a key without any is taken to have, lest the index be infinite."""


def stability_index(column: KeyedColumn, part: str) -> float:
    """Population stability index Σ (q - p)·ln(q / p) of a part's shares q against the training rows' p, above chance.

    Two samples of one distribution differ too: what they come to on average, (keys - 1)·(1/N + 1/M), is taken off.
    """
    train, other = column.parts["train"].values, column.parts[part].values
    if not len(train) or not len(other):
        return 0.0
    keys, counts = np.unique(train, return_counts=True)
    kept = np.sort(keys[np.argsort(-counts, kind="stable")[:MOST]])

    def shares(values: np.ndarray) -> np.ndarray:
        found = np.minimum(np.searchsorted(kept, values), len(kept) - 1)
        place = np.where(kept[found] == values, found, len(kept))
        return np.asarray(np.bincount(place, minlength=len(kept) + 1) / len(values))

    p, q = shares(train), shares(other)
    used = (p > 0) | (q > 0)
    p, q = np.maximum(p[used], FEWEST), np.maximum(q[used], FEWEST)
    chance = (used.sum() - 1) * (1 / len(train) + 1 / len(other))
    return max(float(((q - p) * np.log(q / p)).sum() - chance), 0.0)


def unseen_share(column: KeyedColumn, part: str) -> float | None:
    """Share of a part's ids that training did not have, or too rarely; None where ids have no vocabulary."""
    if column.kind not in ("categorical", "bag", "sequence"):
        return None
    values = column.parts[part].values
    return float((values == UNSEEN).mean()) if len(values) else 0.0
