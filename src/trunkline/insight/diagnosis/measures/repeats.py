"""Duplicates: rows that stand twice, in features and labels, and in two parts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from trunkline.insight.diagnosis.measures.columns import by_column
from trunkline.insight.diagnosis.measures.keys import sampled
from trunkline.nn.inputs import Ragged
from trunkline.tables import Batch, Encoder, Store
from trunkline.tables.columns.splitmix import splitmix

MOST_ROWS = 2_000_000
"""Training rows that are looked at, evenly spread; with fewer than there are, shares come out too small."""
BLOCK = 1 << 16
SURE = 3.0
"""Standard deviations."""
LARGEST = 20
"""Copies of a row up to which it is asked whether chance made them."""

Hashes = NDArray[np.uint64]


@final
@dataclass(frozen=True)
class Repeats:
    """Duplicates between a part and the training rows.

    Attributes:
        rows: of the part that were looked at.
        share: of them that equal a training row.
        single: of them that equal exactly one.
        expected: what `single` would be by chance: 2·G₂/N (Good 1953, the rows of a kind that was seen once), where G₂
            of N training rows' kinds stand there twice.
        error: standard error of the difference between the two.
        copied: whether training rows repeat one another as chance does not make them.
    """

    rows: int
    share: float
    single: float
    expected: float
    error: float
    copied: bool


def repeats(encoder: Encoder, stores: Mapping[str, Store]) -> dict[str, Repeats]:
    """Of every part but the training rows.

    A table of few columns with few values repeats itself without fault. Two things tell copies from that. A copied row
    has one twin in training, while a row that repeats because it is frequent has several; so what counts is the rows
    with exactly one, beside as many as chance gives. And where rows were copied before the parts were cut, training
    rows stand there twice, but next to none three times: see `beyond_chance`.

    Args:
        encoder: of the rows.
        stores: of each part.
    """
    train = np.sort(row_hashes(encoder, sampled(stores["train"], MOST_ROWS)))
    _, counts = np.unique(train, return_counts=True)
    kinds = np.bincount(np.minimum(counts, LARGEST + 2), minlength=LARGEST + 3) if len(counts) else np.zeros(3, int)
    copied = beyond_chance(kinds[: LARGEST + 2], len(train))
    # Of Good's estimate about what it estimates: (r+1)²·G_{r+1} + (r+1)(r+2)·G_{r+2} over N², at r = 1.
    variance = float(4 * kinds[2] + 6 * kinds[3]) / max(len(train), 1) ** 2
    found = {}
    for part, store in stores.items():
        if part != "train" and len(store):
            rows = row_hashes(encoder, sampled(store))
            twins = np.searchsorted(train, rows, side="right") - np.searchsorted(train, rows, side="left")
            single = float((twins == 1).mean())
            found[part] = Repeats(
                rows=len(rows),
                share=float((twins > 0).mean()),
                single=single,
                expected=2 * int(kinds[2]) / max(len(train), 1),
                error=math.sqrt(single * (1 - single) / len(rows) + variance),
                copied=copied,
            )
    return found


def beyond_chance(kinds: NDArray[Any], rows: int) -> bool:
    """Whether there is an r ≥ 2 such that too many kinds of rows stand there r times, beside r - 1 and r + 1 times.

    Rows drawn independently stand there a Poisson number of times each, whatever the frequencies of their kinds; then
    r!·G_r of the number G_r of kinds that are seen r times is log-convex in r (Cauchy and Schwarz), or
    G_{r+1} ≥ r/(r+1) · G_r² / G_{r-1}. Copies, such as every row twice, are not. They are told where they make a
    twentieth of the rows, there is less than half of what has to be, and sampling does not explain it.

    Args:
        kinds: G_0, G_1, G_2, …
        rows: of which the kinds are.
    """
    for r in range(2, len(kinds) - 1):
        before, here, after = (float(one) for one in kinds[r - 1 : r + 2])
        if r * here >= 0.05 * rows and here > 0:
            least = r / (r + 1) * here**2 / max(before, 1.0)
            least *= math.exp(-SURE * math.sqrt(4 / here + 1 / max(before, 1.0)))
            if least > 2 * (after + SURE * math.sqrt(after) + SURE):
                return True
    return False


def row_hashes(encoder: Encoder, rows: Batch) -> Hashes:
    """`[N]` of all features and labels of a row; that two unlike rows have the same one does not happen."""
    found = np.zeros(len(rows), dtype=np.uint64)
    for start in range(0, len(rows), BLOCK):
        block = rows.take(slice(start, start + BLOCK))
        state = found[start : start + BLOCK]
        for _, values in by_column(encoder, block):
            if isinstance(values, Ragged):
                state ^= _of_lists(values)
                splitmix(state)
            else:
                for column in values.reshape(len(block), -1).T:
                    _take_in(state, column)
        for label in block.labels.values():
            _take_in(state, label.numpy().astype(np.float64))
    return found


def _take_in(state: Hashes, column: NDArray[Any]) -> None:
    if column.dtype.kind == "f":
        # 0 and -0 are equal, and a missing label is like any other.
        column = np.where(np.isnan(column), np.nan, column + 0.0)
        column = np.ascontiguousarray(column).view(np.uint32 if column.itemsize == 4 else np.uint64)
    state ^= column.astype(np.uint64)
    splitmix(state)


def _of_lists(lists: Ragged) -> Hashes:
    """`[N]` of each row's elements and their places."""
    offsets = lists.offsets.numpy()
    lengths = np.diff(offsets)
    places = np.arange(len(lists.values)) - np.repeat(offsets[:-1], lengths)
    mixed = splitmix(lists.values.numpy().astype(np.uint64) ^ (places.astype(np.uint64) << np.uint64(32)))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return splitmix(sums[offsets[1:]] - sums[offsets[:-1]] + lengths.astype(np.uint64))
