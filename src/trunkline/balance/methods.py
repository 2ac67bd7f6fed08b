"""The table of methods: names at the edge, classes inside."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

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
from trunkline.errors import UserError, did_you_mean

OBJECTIVES: dict[str, type[ObjectiveBalancer]] = {
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
}
"""What merges losses."""

GRADIENTS: dict[str, type[GramianBalancer] | type[JacobianBalancer]] = {
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
}
"""What balances gradients."""

Method = type[ObjectiveBalancer] | type[GramianBalancer] | type[JacobianBalancer]
CONTEXT = ("tasks", "parameters", "exponents")
"""Constructor arguments that the network knows and a user does not give."""


def find_method(name: str, table: Mapping[str, Method]) -> Method:
    """The class of a method.

    Raises:
        UserError: an unknown name, with the table of methods, a line each.
    """
    if name not in table:
        lines = [f"  {known}: {summary(method)}" for known, method in table.items()]
        raise UserError("\n".join([f"method {name!r} is unknown{did_you_mean(name, table)} (one of these)", *lines]))
    return table[name]


def summary(method: Method) -> str:
    """The first line of a method's documentation."""
    return (inspect.getdoc(method) or "").splitlines()[0]


def options(method: Method) -> dict[str, tuple[Any, Any]]:
    """A method's own options: name -> (type, default), default `inspect.Parameter.empty` if it must be given."""
    hints = get_type_hints(method.__init__)
    parameters = list(inspect.signature(method.__init__).parameters.values())[1:]
    return {p.name: (hints[p.name], p.default) for p in parameters if p.name not in CONTEXT}


def make_method(
    method: Method, values: Mapping[str, Any], *, tasks: Sequence[str], exponents: Sequence[float], parameters: int
) -> Any:
    """An instance, given its options and what the network knows.

    Args:
        method: from `find_method`.
        values: its options; where one is a number for each task it may be given as `{task: number}`.
        tasks: the tasks' names.
        exponents: `Task.exponent` of each.
        parameters: how many dense parameters the tasks share.

    Raises:
        UserError: values out of range, or not one for each task.
    """
    context = {"tasks": len(tasks), "parameters": parameters, "exponents": exponents}
    wanted = inspect.signature(method.__init__).parameters
    arguments = {name: value for name, value in context.items() if name in wanted}
    for name, value in values.items():
        if isinstance(value, Mapping) and name != "arguments":
            if set(value) != set(tasks):
                raise UserError(f"{name} names {', '.join(value) or 'nothing'}; it needs each task: {', '.join(tasks)}")
            value = [value[task] for task in tasks]
        arguments[name] = value
    make: Callable[..., Any] = method
    return make(**arguments)
