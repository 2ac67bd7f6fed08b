"""`balance`: how several losses become one update."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, PlainSerializer

from trunkline.balance.methods import GRADIENTS, OBJECTIVES
from trunkline.config.section import Chosen, Positive, Section, chosen

_gradients = chosen(GRADIENTS.options, per_task=True)


def _without_gradients(value: Any) -> Any:
    return None if value in (None, "none", {"kind": "none"}) else _gradients(value)


Objective = Annotated[Chosen, BeforeValidator(chosen(OBJECTIVES.options, per_task=True))]
Gradients = Annotated[
    Chosen | None,
    BeforeValidator(_without_gradients),
    PlainSerializer(lambda value: "none" if value is None else value.model_dump()),
]


class BalanceConfig(Section):
    """How several losses become one update."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    objective: Objective = Chosen(kind="uncertainty")
    """What merges the losses of all tasks into one."""
    gradients: Gradients = None
    """What balances the tasks' gradients, if anything does."""
    at: Literal["fork", "parameters"] = "fork"
    """Where: at the fork, or over the shared parameters themselves, exactly and at a backward pass a task."""
    update_every: Positive = 1
    """Steps from one set of gradient weights to the next."""
