"""Tasks and features as a config names them."""

from typing import Any

from trunkline.config import (
    Config,
)
from trunkline.errors import Problems
from trunkline.tables import Feature
from trunkline.tasks import TASK_KINDS, Task


def build_tasks(config: Config) -> list[Task]:
    """The tasks, before training rows have told classes and label units.

    Raises:
        UserError: an option out of range; all of them.
    """
    problems, tasks = Problems(), list[Task]()
    for name, c in config.tasks.items():
        own: dict[str, Any] = {"where": c.where, "space": c.space, "weight": c.weight, "reads": c.reads, **c.values}
        with problems.collect():
            tasks.append(TASK_KINDS[c.kind](name=name, label=c.label or name, gradient=c.gradient, **own))
    problems.raise_if_any()
    return tasks


def build_features(config: Config) -> list[Feature] | None:
    """The features that the config names; None under `auto`."""
    if config.features == "auto":
        return None
    return [Feature(name=name, **feature.model_dump()) for name, feature in config.features.items()]
