"""How several losses become one update."""

from trunkline.balance.base import GramianBalancer, JacobianBalancer, ObjectiveBalancer
from trunkline.balance.gradients.aligned import AlignedMTL
from trunkline.balance.gradients.cagrad import CAGrad
from trunkline.balance.gradients.conflict_free import ConFIG
from trunkline.balance.gradients.db_mtl import DBMTL
from trunkline.balance.gradients.dualproj import DualProj
from trunkline.balance.gradients.equal import Equal
from trunkline.balance.gradients.excess_mtl import ExcessMTL
from trunkline.balance.gradients.fairgrad import FairGrad
from trunkline.balance.gradients.from_torchjd import FromTorchJD
from trunkline.balance.gradients.graddrop import GradDrop
from trunkline.balance.gradients.gradvac import GradVac
from trunkline.balance.gradients.imtl_g import IMTLG
from trunkline.balance.gradients.mgda import MGDA
from trunkline.balance.gradients.moco import MoCo
from trunkline.balance.gradients.nash import NashMTL
from trunkline.balance.gradients.pcgrad import PCGrad
from trunkline.balance.gradients.upgrad import UPGrad
from trunkline.balance.objectives.dwa import DWA
from trunkline.balance.objectives.famo import FAMO
from trunkline.balance.objectives.fixed import Fixed
from trunkline.balance.objectives.geometric import Geometric
from trunkline.balance.objectives.gradnorm import GradNorm
from trunkline.balance.objectives.imtl_l import IMTLL
from trunkline.balance.objectives.revised_uncertainty import RevisedUncertainty
from trunkline.balance.objectives.rlw import RLW
from trunkline.balance.objectives.stch import STCH
from trunkline.balance.objectives.sum import Sum
from trunkline.balance.objectives.uncertainty import Uncertainty
from trunkline.balance.objectives.uw_so import UWSO

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
