"""σ of tasks whose likelihood has no width of its own: measured on the validation rows."""

from collections.abc import Sequence

from trunkline.metrics import Scores
from trunkline.tasks import Huber, Laplace, Regression, Task


def measured(task: Task) -> bool:
    """Whether the task's σ is the run's to measure."""
    return isinstance(task, (Regression, Laplace, Huber))


def noise(tasks: Sequence[Task], scores: Scores | None) -> dict[str, float | int | None]:
    """σ of each such task in its label's unit: the root mean squared error over the validation rows."""
    return {} if scores is None else {task.name: scores[task.name]["rmse"] for task in tasks if measured(task)}
