"""Feature-interaction layers: products of features, made before anything is shared."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.registry import Registry


@final
class Run(NamedTuple):
    """Vectors side by side in the features x, all of one width.

    Attributes:
        start: the first column of the first one.
        vectors: how many there are.
        width: of each.
    """

    start: int
    vectors: int
    width: int


@final
@dataclass(frozen=True, kw_only=True)
class Fields:
    """Fields: where in the features x `[N, width]` there are vectors, of ids, of lists of ids, of numbers.

    Attributes:
        width: of x.
        runs: the vectors; what no run holds are plain numbers.
    """

    width: int
    runs: tuple[Run, ...] = ()


class Interaction(nn.Module, ABC):
    """From features to features with products among them; those that were there keep their places.

    Shape:
        - x: `[N, fields.width]`.
        - Output: `[N, out_features]`.
    """

    out_features: int
    """Width of the output."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """`[N, fields.width]` -> `[N, out_features]`."""


@final
class NoInteraction(Interaction):
    """The features as they are.

    Args:
        fields: of the features.
    """

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        self.out_features = fields.width

    def forward(self, x: Tensor) -> Tensor:
        """`[N, fields.width]`, the same."""
        return x


@final
class CrossLayers(Interaction):
    """Polynomials of the features, one degree a layer: the cross network of DCN-V2, stacked before what is shared.

    Wang et al. 2021, DCN V2, WWW, eq. 1: x_{l+1} = x₀ ∘ (W_l x_l + b_l) + x_l; with a rank W = U Vᵀ, eq. 2.

    Args:
        fields: of the features.
        layers: how many.
        rank: of each W; None for a full one.

    Raises:
        UserError: fewer than one layer, or a rank below 1.
    """

    def __init__(self, fields: Fields, *, layers: int = 2, rank: int | None = None) -> None:
        super().__init__()
        if layers < 1:
            raise UserError(f"layers {layers}: it must be at least 1")
        if rank is not None and rank < 1:
            raise UserError(f"rank {rank}: it must be at least 1, or None")
        self.out_features = width = fields.width
        self.layers = nn.ModuleList()
        for _ in range(layers):
            matrices = [nn.Linear(width, width)]
            if rank is not None:
                matrices = [nn.Linear(width, rank, bias=False), nn.Linear(rank, width)]
            for matrix in matrices:
                nn.init.xavier_normal_(matrix.weight)
            nn.init.zeros_(matrices[-1].bias)
            self.layers.append(nn.Sequential(*matrices))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, width]` -> `[N, width]`."""
        crossed = x
        for layer in self.layers:
            crossed = torch.addcmul(crossed, x, layer(crossed).to(x.dtype))
        return crossed


@final
class Pairwise(Interaction):
    """Appends the sum of the products of all pairs of equally wide vectors, a vector for each width.

    He and Chua 2017, Neural Factorization Machines for Sparse Predictive Analytics, SIGIR, eq. 4:
    Σ_{i<j} v_i ∘ v_j = ½((Σ v)² − Σ v²). Summed over its components it is the pairwise term of DeepFM (Guo et al. 2017,
    IJCAI, eq. 2).

    Args:
        fields: of the features.

    Raises:
        UserError: no two vectors are equally wide.
    """

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        by_width: dict[int, list[Run]] = {}
        for run in fields.runs:
            by_width.setdefault(run.width, []).append(run)
        self.groups = [runs for _, runs in sorted(by_width.items()) if sum(run.vectors for run in runs) > 1]
        if not self.groups:
            raise UserError(
                f"pairwise needs vectors of one width, two at least; there are {_told(fields.runs)}: give features the "
                "same dim"
            )
        self.out_features = fields.width + sum(runs[0].width for runs in self.groups)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, fields.width]` -> `[N, out_features]`."""
        products = []
        for runs in self.groups:
            spans = [x[:, run.start : run.start + run.vectors * run.width] for run in runs]
            vectors = torch.cat(spans, dim=1).view(-1, sum(run.vectors for run in runs), runs[0].width)
            products.append((vectors.sum(1).square() - vectors.square().sum(1)) / 2)
        return torch.cat([x, *products], dim=1)


INTERACTIONS: Registry[Interaction] = Registry(
    "interaction",
    {
        "none": NoInteraction,
        "dcn_v2": CrossLayers,
        "pairwise": Pairwise,
    },
    context=("fields",),
    base=Interaction,
    needs=("fields",),
)
"""Feature-interaction layers by name: what `network.interaction` can name."""


def _told(runs: Sequence[Run]) -> str:
    return ", ".join(f"{run.vectors} of width {run.width}" for run in runs) or "none"
