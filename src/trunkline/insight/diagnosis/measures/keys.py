"""Every feature column as a few thousand distinct keys: numbers in bins, ids as they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from trunkline.insight.diagnosis.measures.columns import by_column
from trunkline.nn.inputs import Ragged
from trunkline.tables import Batch, Encoder, Store
from trunkline.tables.columns import IdColumn, ListColumn, NumberColumn

BINS = 64
"""Of a number, of about as many training rows each: fine enough for a copy of a label to show."""
MOST_ROWS = 100_000
"""Of a part that are looked at, evenly spread: what is looked for is coarse."""

Ints = NDArray[np.int64]


@final
@dataclass(frozen=True)
class Keys:
    """A column of some rows.

    Attributes:
        values: `[K]` int64.
        rows: `[K]` which row each is of; None where every row has one.
        count: rows.
    """

    values: Ints
    rows: Ints | None
    count: int


@final
@dataclass(frozen=True)
class KeyedColumn:
    """A column in every part.

    Attributes:
        name: the column's; with its component, of a vector.
        kind: the column's.
        parts: by part, `train` among them.
    """

    name: str
    kind: str
    parts: Mapping[str, Keys]


def sampled(store: Store, most: int = MOST_ROWS) -> Batch:
    """All rows, or so many of them evenly spread."""
    if len(store) <= most:
        return store.rows
    return store.rows.take(torch.from_numpy(np.linspace(0, len(store) - 1, most).astype(np.int64)))


def keyed_columns(encoder: Encoder, parts: Mapping[str, Batch]) -> Iterator[KeyedColumn]:
    """The encoder's columns, one after the other.

    Args:
        encoder: of the rows.
        parts: encoded rows by part, `train` among them.
    """
    for every in zip(*(by_column(encoder, batch) for batch in parts.values()), strict=True):
        column = every[0][0]
        values = {part: one for part, (_, one) in zip(parts, every, strict=True)}
        if isinstance(column, IdColumn):
            ids = {part: np.asarray(one, dtype=np.int64) for part, one in values.items()}
            yield KeyedColumn(column.name, column.kind, {part: Keys(v, None, len(v)) for part, v in ids.items()})
        elif isinstance(column, ListColumn):
            lists = {part: _of_list(one) for part, one in values.items() if isinstance(one, Ragged)}
            yield KeyedColumn(column.name, column.kind, lists)
        else:
            yield from _of_numbers(column, {part: one for part, one in values.items() if not isinstance(one, Ragged)})


def _of_list(ragged: Ragged) -> Keys:
    lengths = ragged.offsets.diff().numpy()
    return Keys(ragged.values.numpy().astype(np.int64), np.repeat(np.arange(len(lengths)), lengths), len(lengths))


def _of_numbers(column: NumberColumn, parts: Mapping[str, NDArray[np.float32]]) -> Iterator[KeyedColumn]:
    missing = {part: v[:, -1] > 0 if column.has_indicator else np.zeros(len(v), bool) for part, v in parts.items()}
    components = {part: column.components(values) for part, values in parts.items()}
    for name, train in components["train"].items():
        edges = np.unique(np.quantile(train, np.linspace(0, 1, BINS + 1)[1:-1]))
        keys = {}
        for part in parts:
            binned = np.searchsorted(edges, components[part][name], side="right") + 1
            binned[missing[part]] = 0
            keys[part] = Keys(binned, None, len(binned))
        yield KeyedColumn(f"{column.name}{name}", column.kind, keys)
