"""The registries of objectives and gradient methods."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

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
from trunkline.errors import UserError
from trunkline.registry import Registry

__all__ = [
    "DBMTL",
    "DWA",
    "FAMO",
    "GRADIENTS",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "OBJECTIVES",
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
    "MoCo",
    "NashMTL",
    "PCGrad",
    "RevisedUncertainty",
    "Sum",
    "UPGrad",
    "Uncertainty",
    "make_method",
]
"""The methods themselves too: `trunkline.balance` exports what stands here."""

M = TypeVar("M")
CONTEXT = ("tasks", "parameters", "exponents")
"""Constructor arguments that the network knows and a user does not give."""

OBJECTIVES: Registry[ObjectiveBalancer] = Registry(
    "method",
    {
        "sum": Sum,
        "fixed": Fixed,
        "uncertainty": Uncertainty,
        "revised_uncertainty": RevisedUncertainty,
        "uw_so": UWSO,
        "dwa": DWA,
        "rlw": RLW,
        "geometric": Geometric,
        "imtl_l": IMTLL,
        "famo": FAMO,
        "stch": STCH,
        "gradnorm": GradNorm,
    },
    context=CONTEXT,
    group="trunkline.objectives",
    base=ObjectiveBalancer,
    needs=("tasks",),
)
"""Objectives by name: what `balance.objective` can name."""

GRADIENTS: Registry[GramianBalancer | JacobianBalancer] = Registry(
    "method",
    {
        "equal": Equal,
        "mgda": MGDA,
        "pcgrad": PCGrad,
        "gradvac": GradVac,
        "cagrad": CAGrad,
        "imtl_g": IMTLG,
        "nash": NashMTL,
        "fairgrad": FairGrad,
        "aligned": AlignedMTL,
        "upgrad": UPGrad,
        "dualproj": DualProj,
        "conflict_free": ConFIG,
        "graddrop": GradDrop,
        "torchjd": FromTorchJD,
        "moco": MoCo,
        "db_mtl": DBMTL,
        "excess_mtl": ExcessMTL,
    },
    context=CONTEXT,
    group="trunkline.gradients",
    base=(GramianBalancer, JacobianBalancer),
)
"""Gradient methods by name: what `balance.gradients` can name."""


def make_method(
    table: Registry[M],
    name: str,
    values: Mapping[str, Any],
    *,
    tasks: Sequence[str],
    exponents: Sequence[float],
    parameters: int,
) -> M:
    """An instance, given its options and what the network knows.

    Args:
        table: `OBJECTIVES` or `GRADIENTS`.
        name: of the method.
        values: its options; where one is a number for each task it may be given as `{task: number}`.
        tasks: the tasks' names.
        exponents: `Task.exponent` of each.
        parameters: how many dense parameters the tasks share.

    Raises:
        UserError: an unknown name; values out of range, or not one for each task.
    """
    arguments = {}
    for option, value in values.items():
        if isinstance(value, Mapping) and option != "arguments":
            if set(value) != set(tasks):
                raise UserError(
                    f"{option} names {', '.join(value) or 'nothing'}; it needs each task: {', '.join(tasks)}"
                )
            value = [value[task] for task in tasks]
        arguments[option] = value
    return table.make(name, arguments, tasks=len(tasks), parameters=parameters, exponents=exponents)
