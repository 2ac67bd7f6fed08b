"""What a network reads of each row: ids, lists of ids, and numbers."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, final, get_args

from torch import Tensor

from trunkline.errors import Problems

Pool = Literal["mean", "sum", "attention"]


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

    Raises:
        UserError: nothing to read, a feature with fewer than two rows or no width, a list feature whose target is no
            categorical feature of its width; all of them.
    """

    rows: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    numbers: int = 0
    lists: tuple[ListFeature, ...] = ()

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
        problems.raise_if_any()


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
