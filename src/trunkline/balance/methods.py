"""The table of methods: names at the edge, classes inside."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

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
from trunkline.choices import Choices
from trunkline.errors import UserError

M = TypeVar("M")
CONTEXT = ("tasks", "parameters", "exponents")
"""Constructor arguments that the network knows and a user does not give."""

OBJECTIVES: Choices[ObjectiveBalancer] = Choices(
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
)
"""What merges losses."""

GRADIENTS: Choices[GramianBalancer | JacobianBalancer] = Choices(
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
)
"""What balances gradients."""


def make_method(
    table: Choices[M],
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
