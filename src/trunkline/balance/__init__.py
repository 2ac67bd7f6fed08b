"""How several losses become one update."""

from trunkline.balance.aligned import AlignedMTL
from trunkline.balance.base import GramianBalancer, JacobianBalancer, ObjectiveBalancer
from trunkline.balance.cagrad import CAGrad
from trunkline.balance.conflict_free import ConFIG
from trunkline.balance.db_mtl import DBMTL
from trunkline.balance.dualproj import DualProj
from trunkline.balance.dwa import DWA
from trunkline.balance.equal import Equal
from trunkline.balance.excess_mtl import ExcessMTL
from trunkline.balance.fairgrad import FairGrad
from trunkline.balance.famo import FAMO
from trunkline.balance.fixed import Fixed
from trunkline.balance.from_torchjd import FromTorchJD
from trunkline.balance.geometric import Geometric
from trunkline.balance.graddrop import GradDrop
from trunkline.balance.gradnorm import GradNorm
from trunkline.balance.gradvac import GradVac
from trunkline.balance.imtl_g import IMTLG
from trunkline.balance.imtl_l import IMTLL
from trunkline.balance.mgda import MGDA
from trunkline.balance.moco import MoCo
from trunkline.balance.nash import NashMTL
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
    "IMTLG",
    "IMTLL",
    "MGDA",
    "RLW",
    "STCH",
    "UWSO",
    "AlignedMTL",
    "CAGrad",
    "ConFIG",
    "DualProj",
    "Equal",
    "ExcessMTL",
    "FairGrad",
    "Fixed",
    "FromTorchJD",
    "Geometric",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "GramianBalancer",
    "JacobianBalancer",
    "MoCo",
    "NashMTL",
    "ObjectiveBalancer",
    "PCGrad",
    "RevisedUncertainty",
    "Sum",
    "UPGrad",
    "Uncertainty",
]
