"""Encoded rows, column by column."""

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from trunkline.nn.inputs import Ragged
from trunkline.tables import Batch, Encoder
from trunkline.tables.columns import Column

Values = NDArray[Any] | Ragged
"""Ids `[N]`, numbers `[N, width]`, or the ids of lists."""


def by_column(encoder: Encoder, rows: Batch) -> Iterator[tuple[Column, Values]]:
    """The encoder's columns, and what became of each in these rows; nothing is copied."""
    for column, place in zip(encoder.columns, encoder.slices().values(), strict=True):
        if place.lists.stop > place.lists.start:
            yield column, rows.lists[place.lists.start]
        elif place.ids.stop > place.ids.start:
            yield column, rows.ids[:, place.ids.start].numpy()
        else:
            yield column, rows.numbers[:, place.numbers].numpy()
