"""How several losses become one update."""

from trunkline.balance.base import GramianBalancer, JacobianBalancer, ObjectiveBalancer
from trunkline.balance.db_mtl import DBMTL
from trunkline.balance.dwa import DWA
from trunkline.balance.equal import Equal
from trunkline.balance.excess_mtl import ExcessMTL
from trunkline.balance.famo import FAMO
from trunkline.balance.fixed import Fixed
from trunkline.balance.from_torchjd import FromTorchJD
from trunkline.balance.geometric import Geometric
from trunkline.balance.graddrop import GradDrop
from trunkline.balance.gradnorm import GradNorm
from trunkline.balance.imtl_l import IMTLL
from trunkline.balance.moco import MoCo
from trunkline.balance.pcgrad import PCGrad
from trunkline.balance.revised_uncertainty import RevisedUncertainty
from trunkline.balance.rlw import RLW
from trunkline.balance.stch import STCH
from trunkline.balance.sum import Sum
from trunkline.balance.uncertainty import Uncertainty
from trunkline.balance.upgrad import UPGrad
from trunkline.balance.uw_so import UWSO

__all__ = [
    "DBMTL",
    "DWA",
    "FAMO",
    "IMTLL",
    "RLW",
    "STCH",
    "UWSO",
    "Equal",
    "ExcessMTL",
    "Fixed",
    "FromTorchJD",
    "Geometric",
    "GradDrop",
    "GradNorm",
    "GramianBalancer",
    "JacobianBalancer",
    "MoCo",
    "ObjectiveBalancer",
    "PCGrad",
    "RevisedUncertainty",
    "Sum",
    "UPGrad",
    "Uncertainty",
]
