"""The input of a network: ids, lists of ids, and numbers of each row."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, final, get_args

from torch import Tensor

from trunkline.errors import Problems

Pool = Literal["mean", "sum", "attention"]
Grid = tuple[float, ...]
"""Quantiles of a number over the training rows, from the least to the greatest in even steps."""


@final
class Ragged(NamedTuple):
    """Lists of ids: row n holds `values[offsets[n]:offsets[n + 1]]`, which may be nothing.

    Attributes:
        values: `[K]` integers.
        offsets: `[N + 1]` int64; the first is 0, the last is K.
    """

    values: Tensor
    offsets: Tensor


@final
class FeatureSlice(NamedTuple):
    """Slice of a categorical feature: its column in encoded rows, and its vector in the features x.

    Attributes:
        column: of the ids `[N, C]`.
        rows: R, its ids are 0 … R-1, missing and unseen included.
        start: the first column of its vector in x.
        width: of its vector.
    """

    column: int
    rows: int
    start: int
    width: int


@final
@dataclass(frozen=True, kw_only=True)
class ListFeature:
    """A feature of which every row has a list of ids, pooled into one vector.

    Attributes:
        width: of its vectors.
        pool: `mean` or `sum` of the ids' vectors, 0 for an empty list; `attention` weighs them by how well each
            goes with the target's vector.
        rows: of its own table; 0 where it has a target.
        target: position among the categorical features of the one whose table it shares and, under `attention`,
            whose vector it is held against.
    """

    width: int
    pool: Pool
    rows: int = 0
    target: int | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The shape of encoded rows.

    Attributes:
        rows: embedding rows of each categorical feature, missing and unseen included (at least 2).
        widths: width of each categorical feature's vectors.
        numbers: M, how many numeric inputs there are.
        lists: the list features.
        quantiles: the grid of each number; None for one that is no standardised value (an indicator, a boolean, part
            of a date or vector). Empty where they are not known.
        names: of the categorical features; empty where they have none.

    Raises:
        UserError: nothing to read, a feature with fewer than two rows or no width, a list feature whose target is no
            categorical feature of its width, grids or names that are not one each, a grid out of order; all of them.
    """

    rows: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    numbers: int = 0
    lists: tuple[ListFeature, ...] = ()
    quantiles: tuple[Grid | None, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = Problems()
        if len(self.rows) != len(self.widths) or min(self.rows, default=2) < 2 or min(self.widths, default=1) < 1:
            problems.add(
                f"embedding rows {list(self.rows)} and widths {list(self.widths)}: one of each, rows >= 2, widths >= 1"
            )
        if not self.rows and not self.lists and self.numbers < 1:
            problems.add("no feature: give at least one")
        for i, feature in enumerate(self.lists):
            for problem in _wrong(i, feature, self.widths):
                problems.add(problem)
        if self.quantiles and len(self.quantiles) != self.numbers:
            problems.add(f"quantiles of {len(self.quantiles)} numbers were given; there are {self.numbers} numbers")
        for i, grid in enumerate(self.quantiles):
            if grid is not None and not _rises(grid):
                problems.add(f"quantiles of number {i}: finite values that do not fall, and at least one")
        if self.names and not len(self.names) == len(set(self.names)) == len(self.rows):
            problems.add(f"names {list(self.names)}: one for each of {len(self.rows)} categorical features, each once")
        problems.raise_if_any()


def _rises(grid: Grid) -> bool:
    return len(grid) > 0 and all(map(math.isfinite, grid)) and all(low <= high for low, high in pairwise(grid))


def _wrong(i: int, feature: ListFeature, widths: tuple[int, ...]) -> list[str]:
    name, wrong = f"list feature {i}", []
    if feature.pool not in get_args(Pool):
        wrong.append(f"{name}: pool {feature.pool!r}; it is one of {', '.join(get_args(Pool))}")
    if feature.target is None:
        if feature.rows < 2 or feature.width < 1:
            wrong.append(f"{name}: rows {feature.rows} and width {feature.width}: rows >= 2, width >= 1")
        if feature.pool == "attention":
            wrong.append(f"{name}: attention needs a target feature")
    elif not 0 <= feature.target < len(widths):
        wrong.append(f"{name}: target {feature.target} is none of the {len(widths)} categorical features")
    elif feature.width != widths[feature.target]:
        wrong.append(f"{name}: width {feature.width}; its target's vectors are {widths[feature.target]} wide")
    return wrong
