"""All metrics of a task, by name."""

from torch import Tensor

from trunkline.metrics.classification import CLASSIFICATION
from trunkline.metrics.distribution import DISTRIBUTION
from trunkline.metrics.metric import Metric
from trunkline.metrics.ranking import RANKING
from trunkline.metrics.scored import Scored
from trunkline.metrics.values import VALUES
from trunkline.tasks import Task

Scores = dict[str, dict[str, float | int | None]]
"""`{task: {metric: value}}`; None where a metric is not defined (one class only, a constant label)."""

METRICS: dict[str, Metric] = CLASSIFICATION | VALUES | RANKING | DISTRIBUTION
"""The metrics that a task kind can name."""


def score(task: Task, raw: Tensor, label: Tensor, weight: Tensor | None = None) -> dict[str, float | int | None]:
    """All metrics of one task, and the number of rows they are taken over.

    Rows whose label is NaN or whose weight is 0 are left out; the weights' size plays no part here.

    Args:
        task: the task, with its label units.
        raw: `[N, outputs]`.
        label: `[N]`; places 0, 1, … of a leveled kind.
        weight: `[N]`, if the task has row weights.

    Raises:
        KeyError: the task names a metric that is not in `METRICS`.
    """
    observed = ~label.isnan() if weight is None else ~label.isnan() & (weight > 0)
    scored = Scored(task, raw[observed].double(), label[observed].double())
    metrics = {name: METRICS[name] for name in task.metrics}
    rows = len(scored.label)
    return {name: metric.compute(scored) if rows else None for name, metric in metrics.items()} | {"rows": rows}
