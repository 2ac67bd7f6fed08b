"""Building tasks and features."""

from collections.abc import Mapping
from typing import Any

from trunkline.config import Config
from trunkline.errors import Problems, UserError
from trunkline.metrics import METRICS
from trunkline.tables import Feature, make_feature
from trunkline.tasks import TASK_KINDS, Task


def build_tasks(config: Config) -> list[Task]:
    """The tasks, before training rows have told classes and label units.

    Raises:
        UserError: an option out of range; all of them.
    """
    problems, tasks = Problems(), list[Task]()
    for name, c in config.tasks.items():
        own: dict[str, Any] = {"where": c.where, "space": c.space, "weight": c.weight, "reads": c.reads, **c.options}
        own |= {"meanings": tuple((c.values or {}).items()), "missing": c.missing or ()}
        own |= {"format": format_pairs(c.format)}
        own |= {"label": c.label or name, "gradient": c.gradient, "further_metrics": c.metrics or ()}
        with problems.collect():
            tasks.append(TASK_KINDS.make(c.kind, own, name=name))
            _check_metrics(tasks[-1])
    problems.raise_if_any()
    return tasks


def format_pairs(format: Mapping[str, Any] | None) -> tuple[tuple[str, Any], ...]:
    """A label's format as `Task` holds it."""
    return tuple((key, tuple(one) if isinstance(one, list) else one) for key, one in (format or {}).items())


def _check_metrics(task: Task) -> None:
    for name in task.further_metrics:
        if not METRICS.make(name, {}).suits(task):
            fitting = [known for known in METRICS if METRICS.make(known, {}).suits(task)]
            raise UserError(
                f"tasks.{task.name}.metrics: {name} is not defined for a task of kind {task.kind} (these are: "
                f"{', '.join(fitting)})"
            )


def build_features(config: Config) -> list[Feature] | None:
    """The features that the config names; None under `auto`."""
    if config.features == "auto":
        return None
    return [make_feature(name=name, **feature.model_dump()) for name, feature in config.features.items()]
