"""The tasks."""

from dataclasses import fields
from typing import Annotated, Literal

from pydantic import BeforeValidator

from trunkline.config.section import Chosen, chosen
from trunkline.registry import Options, Registry
from trunkline.tasks import TASK_KINDS, Task

Calibrate = Literal["none", "temperature", "isotonic"]


_KINDS = Registry("kind", TASK_KINDS, context=[field.name for field in fields(Task)])


def _options(kind: str) -> Options:
    """What one kind of task takes beyond what every kind takes, without what training rows fill in."""
    learned = {field.name for field in fields(_KINDS.find(kind)) if field.metadata.get("learned")}
    return {name: option for name, option in _KINDS.options(kind).items() if name not in learned}


class TaskConfig(Chosen):
    """A task; see `tasks.Task`, and the kind's class for options of its own."""

    label: str | None = None
    where: str | None = None
    space: str | None = None
    weight: str | None = None
    reads: Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = ()
    gradient: Literal["stop", "flow"] = "stop"
    calibrate: Calibrate = "none"
    """How estimates are corrected on the validation rows once the training is done; see `training.calibration`."""


AnyTask = Annotated[TaskConfig, BeforeValidator(chosen(_options, common=TaskConfig))]
