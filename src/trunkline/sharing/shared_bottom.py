"""Hard parameter sharing: one trunk for all tasks."""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor, nn

from trunkline.mlp import MLP, Norm
from trunkline.sharing.base import Sharing, Split


@final
class SharedBottom(Sharing):
    """One multilayer perceptron whose output every task reads (Caruana 1997, Multitask Learning).

    Args:
        in_features: width of the features.
        hidden: widths of the layers.
        dropout: as in `MLP`.
        norm: as in `MLP`.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.
    """

    def __init__(self, in_features: int, hidden: Sequence[int], *, dropout: float = 0.0, norm: Norm = "none") -> None:
        super().__init__()
        self.trunk = MLP(in_features, hidden, dropout=dropout, norm=norm)
        self.in_features = in_features
        self.out_features = self.trunk.out_features

    def forward(self, x: Tensor, fork: Split) -> tuple[Tensor, ...]:
        """`[N, in_features]` -> T tensors `[N, out_features]`."""
        return fork(self.trunk(x))

    def owners(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Everything is shared."""
        return {"shared": list(self.trunk.parameters())}
