"""The registry of architectures."""

from trunkline.registry import Registry
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

__all__ = [
    "AITM",
    "ARCHITECTURES",
    "CGC",
    "MTAN",
    "PLE",
    "STAR",
    "CrossStitch",
    "DSelectK",
    "MMoE",
    "OMoE",
    "PEPNet",
    "SharedBottom",
    "Single",
]
"""The architectures themselves too: `trunkline.sharing` exports what stands here."""

ARCHITECTURES: Registry[Sharing] = Registry(
    "sharing",
    {
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
    },
    context=("in_features", "tasks", "features", "layers"),
    group="trunkline.architectures",
    base=Sharing,
    needs=("in_features",),
)
"""Architectures by name: what `network.sharing` can name. The network knows the width of the features, the tasks, where
categorical features lie and what layers are made of; the rest is the user's."""
