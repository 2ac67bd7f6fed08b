"""Encoded rows, column by column."""

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from trunkline.nn.inputs import Ragged
from trunkline.tables import Batch, Encoder
from trunkline.tables.columns import Column, IdColumn, ListColumn

Values = NDArray[Any] | Ragged
"""Ids `[N]`, numbers `[N, width]`, or the ids of lists."""


def by_column(encoder: Encoder, rows: Batch) -> Iterator[tuple[Column, Values]]:
    """The encoder's columns, and what became of each in these rows; nothing is copied."""
    i = number = listed = 0
    for column in encoder.columns:
        if isinstance(column, IdColumn):
            yield column, rows.ids[:, i].numpy()
            i += 1
        elif isinstance(column, ListColumn):
            yield column, rows.lists[listed]
            listed += 1
        else:
            yield column, rows.numbers[:, number : number + column.width].numpy()
            number += column.width
