"""Target attention: which ids of a list go well with a target, by the local activation unit of DIN."""

from typing import final

import torch
from torch import Tensor, nn

HIDDEN = 32
"""Width of the unit's hidden layer."""


@final
class TargetAttention(nn.Module):
    """Weights for the vectors of ragged lists, by a small network of each vector k and the row's target q.

    Zhou et al. 2018, Deep Interest Network, KDD, section 4.3: a(k, q) reads k, q, q - k and q⊙k.

    NOTE[DIFF]: the paper leaves the weights as they come; here a softmax over the list makes them sum to 1, so that
    long histories do not weigh more than short ones.

    Args:
        width: of the vectors.

    Shape:
        - vectors: `[K, width]`, the lists' vectors one list after another.
        - offsets: `[N + 1]` int64, where each list begins; the last is K.
        - target: `[N, width]`.
        - Output: `[K]` weights >= 0 that sum to 1 over each list.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.unit = nn.Sequential(nn.Linear(4 * width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))

    def forward(self, vectors: Tensor, offsets: Tensor, target: Tensor) -> Tensor:
        """vectors `[K, width]`, offsets `[N + 1]`, target `[N, width]` -> `[K]`."""
        lengths = offsets.diff()
        row = torch.repeat_interleave(lengths, output_size=len(vectors))
        query = target[row]
        score = self.unit(torch.cat([vectors, query, query - vectors, query * vectors], dim=1)).squeeze(1)
        score = score if score.dtype == torch.float64 else score.float()
        highest = score.new_zeros(len(lengths)).scatter_reduce(0, row, score.detach(), "amax", include_self=False)
        raised = (score - highest[row]).exp()
        total = raised.new_zeros(len(lengths)).index_add(0, row, raised)
        weights: Tensor = raised / total[row]
        return weights
