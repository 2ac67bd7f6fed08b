"""Residual scale: σ of tasks whose likelihood has none, measured on the validation rows."""

from collections.abc import Sequence

from trunkline.metrics import Scores
from trunkline.tasks import Task


def residual_scales(tasks: Sequence[Task], scores: Scores | None) -> dict[str, float | int | None]:
    """σ of each task with `residual_scale` in its label's unit: the root mean squared error over validation rows."""
    return {} if scores is None else {task.name: scores[task.name]["rmse"] for task in tasks if task.residual_scale}
