"""MTAN: multi-task attention network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from trunkline.nn.mlp import MLP, Layers
from trunkline.sharing.base import Gates, Sharing, check_branches, check_names
from trunkline.sharing.trunk import trunk_layers


@final
class MTAN(Sharing):
    """A shared trunk of which each task picks units, layer by layer (Liu et al. 2019, 1803.10704, eq. 1-2).

    From the trunk's layer l, with outputs pˡ, task t takes âₜˡ = aₜˡ ⊙ pˡ, where the mask is
    aₜˡ = σ(h(g([pˡ ; âₜˡ⁻¹]))), at the first layer σ(h(g(p¹))); g is a layer as wide as layer l, h is linear, both
    are the task's own. Its tower reads âₜᴸ.

    The trunk forks at the outputs of all its L layers, which balance as one cut.

    NOTE[DIFF]: in the paper the blocks are convolutions. Its mask is computed from the first convolution of a block and
    laid on the second, and between two blocks the attended features pass a convolution f of their own; here a block is
    one layer, the mask is computed from what it is laid on, and g does what f would.

    Args:
        in_features: width of the features.
        tasks: names of the T tasks, in order.
        hidden: widths of the trunk's layers.
        layers: what they are made of; g has their norm and activation, neither dropout nor residual.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: no task, one that is named twice; no layer, and what `MLP` refuses; a fork with another number of
            branches.

    Examples:
        >>> sharing = MTAN(5, ["click", "buy"], hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        hidden: Sequence[int] = (256, 128),
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = check_names(tasks)
        self.trunk = trunk_layers(in_features, hidden, layers)
        plain = replace(layers or Layers(), dropout=0.0, residual=False)
        self.attention = nn.ModuleList(
            nn.ModuleList(_mask(before + width, width, plain) for before, width in pairwise([0, *hidden]))
            for _ in tasks
        )
        self.in_features = in_features
        self.out_features = hidden[-1]

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """What each of the trunk's layers gives, `[N, width]` each."""
        outputs = []
        for layer in self.trunk:
            x = layer(x)
            outputs.append(x)
        return tuple(outputs)

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """What each task attends to in its copy of the last layer `[N, out_features]`."""
        check_branches(len(self.attention), copies)
        attended = []
        for masks, (first, *others) in zip(self.attention, copies, strict=True):
            one, *following = masks.children()
            taken = one(first) * first
            for mask, outputs in zip(following, others, strict=True):
                taken = mask(torch.cat([outputs, taken], dim=1)) * outputs
            attended.append(taken)
        return tuple(attended)

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The trunk is shared; each task owns its masks."""
        masks = {
            f"attention.{task}": list(mask.parameters()) for task, mask in zip(self.tasks, self.attention, strict=True)
        }
        return {"shared": list(self.trunk.parameters()), **masks}

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """The trunk's."""
        return list(self.trunk.parameters())

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """None: masks choose units, not experts."""
        return {}


def _mask(in_features: int, width: int, layers: Layers) -> nn.Sequential:
    return nn.Sequential(MLP(in_features, [width], layers), nn.Linear(width, width), nn.Sigmoid())
