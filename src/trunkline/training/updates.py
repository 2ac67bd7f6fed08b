"""Update-to-parameter ratios of each subnet."""

from typing import final

import torch
from torch import Tensor, nn

from trunkline.network import Network


@final
class Updates:
    """The dense parameters as they are now, to be held against what a step makes of them.

    Row-sparse tables are left out: a step touches a few of their rows, and a copy would cost more than the step.

    Args:
        network: whose parameters; those that do not learn are left out.
    """

    def __init__(self, network: Network) -> None:
        sparse = {id(table) for table in network.embedding.row_sparse()}
        self._dense: dict[str, list[nn.Parameter]] = {
            name: [p for p in parameters if p.requires_grad and id(p) not in sparse]
            for name, parameters in network.parameters_by_subnet().items()
        }
        self._before = {name: [p.detach().clone() for p in parameters] for name, parameters in self._dense.items()}

    @torch.no_grad()
    def sizes(self) -> dict[str, float | None]:
        """‖Δθ‖/‖θ‖ of each subnet that learns; about 1e-3 is usual, and None where all parameters are 0."""
        sizes: dict[str, float | None] = {}
        for name, parameters in self._dense.items():
            if parameters:
                before = self._before[name]
                whole = float(_norm(before))
                change = float(_norm([p - old for p, old in zip(parameters, before, strict=True)]))
                sizes[name] = change / whole if whole > 0 else None
        return sizes


def _norm(tensors: list[Tensor]) -> Tensor:
    norm: Tensor = torch.stack([torch.linalg.vector_norm(tensor.float()) for tensor in tensors]).norm()
    return norm
