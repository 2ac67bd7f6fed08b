"""The layers of a trunk, where what lies between them matters."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from trunkline.errors import UserError
from trunkline.nn.mlp import MLP, Layers, check_widths


def trunk_layers(in_features: int, hidden: Sequence[int], layers: Layers | None = None) -> nn.ModuleList:
    """The layers that `MLP` would run one after another, each by itself: one `MLP` of one layer for each width.

    Raises:
        UserError: no layer, and what `MLP` refuses.
    """
    check_trunk(in_features, hidden)
    return nn.ModuleList(MLP(width, [following], layers) for width, following in pairwise([in_features, *hidden]))


def check_trunk(in_features: int, hidden: Sequence[int]) -> None:
    """Refuse a trunk without layers.

    Raises:
        UserError: no layer, a width below 1.
    """
    if not hidden:
        raise UserError("hidden []: a trunk needs at least one layer")
    check_widths(in_features, hidden)
