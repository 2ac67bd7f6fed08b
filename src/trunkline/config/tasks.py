"""`tasks`: what is predicted."""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from trunkline.config.section import Chosen, chosen
from trunkline.registry import Options
from trunkline.tasks import TASK_KINDS

Calibrate = Literal["none", "temperature", "isotonic"]


def _options(kind: str) -> Options:
    """What one kind of task takes beyond what every kind takes, without what training rows fill in."""
    learned = {field.name for field in fields(TASK_KINDS.find(kind)) if field.metadata.get("learned")}
    return {name: option for name, option in TASK_KINDS.options(kind).items() if name not in learned}


def _as_tuple(value: Any) -> Any:
    """One name is short for a list of it."""
    return (value,) if isinstance(value, str) else value


class TaskConfig(Chosen):
    """A task; see `tasks.Task`, and the kind's class for options of its own."""

    label: str | None = None
    """Column of the label; the task's name unless given."""
    where: str | None = None
    """A binary task: only rows in which it happened count."""
    space: str | None = None
    """A binary task without which this one cannot happen: trained over all rows through the joint probability."""
    weight: str | None = None
    """Column of row weights, 0 or above."""
    reads: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    """Tasks whose estimates this tower receives."""
    gradient: Literal["stop", "flow"] = "stop"
    """Whether this task's loss may reach the towers whose estimates it takes."""
    metrics: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] | None = None
    """Metrics to report beside those of the kind."""
    calibrate: Calibrate = "none"
    """How estimates are corrected on the validation rows once the training is done; see `training.calibration`."""


AnyTask = Annotated[TaskConfig, BeforeValidator(chosen(_options, common=TaskConfig))]
