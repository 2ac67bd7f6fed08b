"""Numbers of distinct values: one alone, or another one in every row."""

from collections.abc import Iterator

import numpy as np

from trunkline.insight.diagnosis.measures.columns import Values, by_column
from trunkline.insight.diagnosis.measures.keys import sampled
from trunkline.insight.diagnosis.measures.missing import missing_in
from trunkline.nn.embedding import MISSING, UNSEEN
from trunkline.nn.inputs import Ragged
from trunkline.tables import Batch, Encoder, Store
from trunkline.tables.columns import Column, IdColumn

FEWEST = 100
"""Rows with a value below which no two having the same may be luck."""
SUSPECT = 0.5
"""Share of single values in a sample from which on all rows are counted: in a sample there are more of them."""


def constant_columns(encoder: Encoder, store: Store) -> list[str]:
    """Columns with one value in all rows; one that is missing in all of them has none."""
    if len(store) < 2:
        return []
    # Of the whole store only those columns are read that a sample does not clear.
    suspects = {column.name for column, values in by_column(encoder, sampled(store)) if _constant(column, values)}
    return [
        column.name
        for column, values in by_column(encoder, store.rows)
        if column.name in suspects and _constant(column, values)
    ]


def _constant(column: Column, values: Values) -> bool:
    missing = missing_in(column, values)
    return _alike(values) and (missing is None or not missing.any())


def _alike(values: Values) -> bool:
    if isinstance(values, Ragged):
        lengths = values.offsets.diff().numpy()
        if (lengths != lengths[0]).any():
            return False
        values = values.values.numpy().reshape(len(lengths), -1)
    elif values.ndim > 1 and not values.shape[1]:
        return False  # a date of which the training rows go through no cycle
    return bool((values == values[0]).all())


def single_shares(encoder: Encoder, store: Store) -> dict[str, float]:
    """`{column: share}` of the rows with a value whose value no other row has, of categorical columns.

    A value too rare for the vocabulary is none: it has no vector of its own to be learnt by heart.
    """
    found = {name: _single(ids) for name, ids in _categories(encoder, sampled(store))}
    for name, ids in _categories(encoder, store.rows):
        if found[name] >= SUSPECT:
            found[name] = _single(ids)
    return found


def _categories(encoder: Encoder, rows: Batch) -> Iterator[tuple[str, np.ndarray]]:
    for column, values in by_column(encoder, rows):
        if isinstance(column, IdColumn) and column.kind == "categorical" and isinstance(values, np.ndarray):
            yield column.name, values


def _single(ids: np.ndarray) -> float:
    known = ids[ids != MISSING]
    if len(known) < FEWEST:
        return 0.0
    counts = np.bincount(known)
    counts[: UNSEEN + 1] = 0
    return float((counts == 1).sum() / len(known))
