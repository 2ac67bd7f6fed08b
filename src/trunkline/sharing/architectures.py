"""The table of architectures: names at the edge, classes inside."""

from collections.abc import Mapping, Sequence
from typing import Any

from trunkline.choices import find, make, options
from trunkline.inputs import Place
from trunkline.mlp import Layers
from trunkline.sharing.aitm import AITM
from trunkline.sharing.base import Sharing
from trunkline.sharing.cgc import CGC
from trunkline.sharing.cross_stitch import CrossStitch
from trunkline.sharing.dselect_k import DSelectK
from trunkline.sharing.mmoe import MMoE
from trunkline.sharing.mtan import MTAN
from trunkline.sharing.omoe import OMoE
from trunkline.sharing.pepnet import PEPNet
from trunkline.sharing.ple import PLE
from trunkline.sharing.shared_bottom import SharedBottom
from trunkline.sharing.single import Single
from trunkline.sharing.star import STAR

ARCHITECTURES: dict[str, type[Sharing]] = {
    "shared_bottom": SharedBottom,
    "mmoe": MMoE,
    "omoe": OMoE,
    "cgc": CGC,
    "ple": PLE,
    "dselect_k": DSelectK,
    "single": Single,
    "cross_stitch": CrossStitch,
    "mtan": MTAN,
    "aitm": AITM,
    "star": STAR,
    "pepnet": PEPNet,
}
"""What tasks can share."""

CONTEXT = ("in_features", "tasks", "features", "layers")
"""Constructor arguments that the network knows and a user does not give here."""


def find_architecture(name: str) -> type[Sharing]:
    """The class of an architecture.

    Raises:
        UserError: an unknown name, with the table of architectures, a line each.
    """
    return find("sharing", name, ARCHITECTURES)


def architecture_options(architecture: type[Sharing]) -> dict[str, tuple[Any, Any]]:
    """Its own options; see `choices.options`."""
    return options(architecture, CONTEXT)


def make_architecture(
    architecture: type[Sharing],
    values: Mapping[str, Any],
    *,
    in_features: int,
    tasks: Sequence[str],
    features: Mapping[str, Place],
    layers: Layers,
) -> Sharing:
    """An instance, given its options and what the network knows.

    Args:
        architecture: from `find_architecture`.
        values: its options.
        in_features: width of the features.
        tasks: the tasks' names.
        features: where each categorical feature lies.
        layers: what perceptrons are made of.

    Raises:
        UserError: values out of range.
    """
    known = {"in_features": in_features, "tasks": tasks, "features": features, "layers": layers}
    return make(architecture, values, known)
