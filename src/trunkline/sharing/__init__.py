"""What tasks share."""

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
    "Sharing",
    "Single",
]
