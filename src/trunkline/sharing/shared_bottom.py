"""Hard parameter sharing: one trunk for all tasks."""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor, nn

from trunkline.nn.mlp import MLP, Layers
from trunkline.sharing.base import Gates, Sharing


@final
class SharedBottom(Sharing):
    """One multilayer perceptron whose output every task reads (Caruana 1997, Multitask Learning).

    Args:
        in_features: width of the features.
        hidden: widths of the layers.
        layers: what they are made of.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.
    """

    def __init__(self, in_features: int, hidden: Sequence[int] = (256, 128), *, layers: Layers | None = None) -> None:
        super().__init__()
        self.trunk = MLP(in_features, hidden, layers)
        self.in_features = in_features
        self.out_features = self.trunk.out_features

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The trunk's output `[N, out_features]`."""
        return (self.trunk(x),)

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's copy as it is."""
        return tuple(copy for (copy,) in copies)

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Everything is shared."""
        return {"shared": list(self.trunk.parameters())}

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """Everything."""
        return list(self.trunk.parameters())

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """None."""
        return {}
