"""How several losses become one update."""

from trunkline.balance.base import GramianBalancer, ObjectiveBalancer
from trunkline.balance.equal import Equal
from trunkline.balance.fixed import Fixed
from trunkline.balance.pcgrad import PCGrad
from trunkline.balance.sum import Sum
from trunkline.balance.uncertainty import Uncertainty
from trunkline.balance.upgrad import UPGrad

__all__ = [
    "Equal",
    "Fixed",
    "GramianBalancer",
    "ObjectiveBalancer",
    "PCGrad",
    "Sum",
    "UPGrad",
    "Uncertainty",
]
