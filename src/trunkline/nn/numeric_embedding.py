"""Numeric embeddings: numbers as they are, or each as a vector of its own."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.inputs import Grid
from trunkline.registry import Registry

APART = 1e-5
"""Edges of a bin are farther apart than this share of them: float32 tells the values between them apart."""
LEAST = 1e-30
"""Width that every bin has at least, so that it can be divided by."""


class NumericEmbedding(nn.Module, ABC):
    """From the M numbers of each row to features: K vectors of one width, then the numbers that have none.

    Shape:
        - numbers: `[N, M]`.
        - Output: `[N, out_features]`, out_features = K·dim + the numbers that have no vector.
    """

    fields: int
    """K, how many of the numbers have a vector."""
    dim: int
    """Width of the vectors."""
    out_features: int
    """Width of the output."""

    @abstractmethod
    def forward(self, numbers: Tensor) -> Tensor:
        """`[N, M]` -> `[N, out_features]`."""


@final
class PlainNumbers(NumericEmbedding):
    """Every number as it is.

    Args:
        quantiles: of each of the M numbers; they are not looked at.
    """

    def __init__(self, quantiles: Sequence[Grid | None]) -> None:
        super().__init__()
        self.fields, self.dim, self.out_features = 0, 0, len(quantiles)

    def forward(self, numbers: Tensor) -> Tensor:
        """`[N, M]` -> `[N, M]`."""
        return numbers


@final
class PiecewiseNumbers(NumericEmbedding):
    """A vector for each number by a piecewise linear function of it, whose knots are quantiles of the training rows.

    Gorishniy et al. 2022, On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS, eq. 1 with the
    quantiles of section 3.2.1 for bins; the linear layer in the form "B" of TabM (Gorishniy et al. 2025, ICLR), which
    starts as a linear function. As in the paper the vector stands in the number's place: form B holds the number
    itself. Constant numbers and those without a grid stay as they are. Needs the extra `trunkline[numbers]`.

    NOTE[DIFF]: equal quantiles count once before they are thinned out to `bins`, so that a number that is mostly zero
    has bins among its other values. Beyond the grid the function goes on for the width of the outermost bin and then
    stays: in a narrow one a far value would grow without bound.

    Args:
        quantiles: of each of the M numbers; None for one that stays as it is.
        bins: at most so many a number.
        dim: width of the vectors.

    Raises:
        UserError: the library is not there; fewer than one bin, or no width.
    """

    low: Tensor
    high: Tensor

    def __init__(self, quantiles: Sequence[Grid | None], *, bins: int = 48, dim: int = 8) -> None:
        super().__init__()
        _check(bins=bins, dim=dim)
        edges = [_edges(grid, bins) for grid in quantiles]
        self.chosen = _Chosen([len(known) > 1 for known in edges])
        knots = [torch.tensor(known) for known in edges if len(known) > 1]
        self.fields, self.dim = len(knots), dim
        self.out_features = self.fields * dim + len(quantiles) - self.fields
        self.register_buffer("low", torch.stack([2 * e[0] - e[1] for e in knots]) if knots else torch.empty(0))
        self.register_buffer("high", torch.stack([2 * e[-1] - e[-2] for e in knots]) if knots else torch.empty(0))
        self.vectors = nn.Identity()
        if knots:
            with warnings.catch_warnings():
                # of numbers with a single bin: a column of two values is no mistake
                warnings.filterwarnings("ignore", "The [0-9]+-th feature has just two bin edges", UserWarning)
                self.vectors = _library().PiecewiseLinearEmbeddings(knots, dim, activation=False, version="B")

    def forward(self, numbers: Tensor) -> Tensor:
        """`[N, M]` -> `[N, out_features]`."""
        if not self.fields:
            return numbers
        own, rest = self.chosen(numbers)
        return torch.cat([self.vectors(own.clamp(self.low, self.high)).flatten(1), rest], dim=1)


@final
class PeriodicNumbers(NumericEmbedding):
    """A vector for each number by sines and cosines of it, whose frequencies are learnt.

    Gorishniy et al. 2022, On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS, eq. 2, then a linear
    layer and ReLU (their PLR) with one layer for all numbers, the lite form of TabR (Gorishniy et al. 2024, ICLR). As
    in the paper the vector stands in the number's place. Constant numbers and those without a grid stay as they are.
    Needs the extra `trunkline[numbers]`.

    Args:
        quantiles: of each of the M numbers; None for one that stays as it is.
        frequencies: how many a number.
        scale: standard deviation of the frequencies' initial values, in cycles a standard deviation of the number: the
            choice that matters most, between 0.01 and 10.
        dim: width of the vectors.

    Raises:
        UserError: the library is not there; no frequency, no width, a scale that is not above 0.
    """

    def __init__(
        self, quantiles: Sequence[Grid | None], *, frequencies: int = 48, scale: float = 0.1, dim: int = 8
    ) -> None:
        super().__init__()
        _check(frequencies=frequencies, dim=dim)
        if not scale > 0:
            raise UserError(f"scale {scale}: it must be above 0")
        self.chosen = _Chosen([grid is not None and grid[0] < grid[-1] for grid in quantiles])
        self.fields, self.dim = self.chosen.count, dim
        self.out_features = self.fields * dim + len(quantiles) - self.fields
        self.vectors = nn.Identity()
        if self.fields:
            self.vectors = _library().PeriodicEmbeddings(
                self.fields, dim, n_frequencies=frequencies, frequency_init_scale=scale, lite=True
            )

    def forward(self, numbers: Tensor) -> Tensor:
        """`[N, M]` -> `[N, out_features]`."""
        if not self.fields:
            return numbers
        own, rest = self.chosen(numbers)
        return torch.cat([self.vectors(own).flatten(1), rest], dim=1)


NUMBERS: Registry[NumericEmbedding] = Registry(
    "numbers",
    {
        "plain": PlainNumbers,
        "piecewise": PiecewiseNumbers,
        "periodic": PeriodicNumbers,
    },
    context=("quantiles",),
    base=NumericEmbedding,
    needs=("quantiles",),
)
"""Numeric embeddings by name: what `network.numbers` can name."""


@final
class _Chosen(nn.Module):
    """The numbers that have a vector, and the others."""

    own: Tensor
    others: Tensor

    def __init__(self, chosen: Sequence[bool]) -> None:
        super().__init__()
        own = [i for i, yes in enumerate(chosen) if yes]
        others = [i for i, yes in enumerate(chosen) if not yes]
        self.count = len(own)
        self.register_buffer("own", torch.tensor(own, dtype=torch.int64), persistent=False)
        self.register_buffer("others", torch.tensor(others, dtype=torch.int64), persistent=False)

    def forward(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return numbers.index_select(1, self.own), numbers.index_select(1, self.others)


def _edges(grid: Grid | None, bins: int) -> list[float]:
    """The edges of at most `bins` bins, in order; fewer than two of a constant."""
    edges: list[float] = []
    for value in torch.tensor(grid or (), dtype=torch.float32).tolist():
        if not edges or value - edges[-1] > max(APART * max(abs(value), abs(edges[-1])), LEAST):
            edges.append(value)
    if len(edges) > bins + 1:
        edges = [edges[i] for i in torch.linspace(0, len(edges) - 1, bins + 1, device="cpu").round().long().tolist()]
    return edges


def _check(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UserError(f"{name} {count}: it must be at least 1")


def _library() -> Any:
    try:
        import rtdl_num_embeddings
    except ImportError as error:
        raise UserError(f"rtdl_num_embeddings is not installed ({error}); pip install 'trunkline[numbers]'") from error
    return rtdl_num_embeddings
