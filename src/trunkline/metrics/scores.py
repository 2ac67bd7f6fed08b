"""The registry of metrics, and all scores of a task."""

import math

from torch import Tensor

from trunkline.errors import UserError
from trunkline.metrics.classification import ECE, Accuracy, Calibration, LogLoss, NormalizedEntropy, QuadraticKappa
from trunkline.metrics.distribution import NLL, Coverage, Pinball
from trunkline.metrics.metric import Metric
from trunkline.metrics.ranking import AUC, NDCG, AUCPositive, AveragePrecision, Gini, MacroAUC, Spearman
from trunkline.metrics.scored import Scored
from trunkline.metrics.values import MAE, R2, RMSE, Bias, LogRMSE, PoissonDeviance
from trunkline.random_state import isolated_random
from trunkline.registry import Registry, is_ours
from trunkline.tasks import Task

Scores = dict[str, dict[str, float | int | None]]
"""`{task: {metric: value}}`; None where a metric is not defined (one class only, a constant label)."""

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "log_loss": LogLoss,
        "normalized_entropy": NormalizedEntropy,
        "calibration": Calibration,
        "ece": ECE,
        "accuracy": Accuracy,
        "quadratic_kappa": QuadraticKappa,
        "rmse": RMSE,
        "mae": MAE,
        "r2": R2,
        "log_rmse": LogRMSE,
        "bias": Bias,
        "poisson_deviance": PoissonDeviance,
        "auc": AUC,
        "average_precision": AveragePrecision,
        "macro_auc": MacroAUC,
        "auc_positive": AUCPositive,
        "spearman": Spearman,
        "gini": Gini,
        "ndcg": NDCG,
        "pinball": Pinball,
        "coverage": Coverage,
        "nll": NLL,
    },
    group="trunkline.metrics",
    base=Metric,
)
"""The metrics that a task can name."""


def score(task: Task, raw: Tensor, label: Tensor, weight: Tensor | None = None) -> dict[str, float | int | None]:
    """All metrics of one task, and the number of rows they are taken over.

    Rows whose label is NaN or whose weight is 0 are left out; the weights' size plays no part here.

    Args:
        task: the task, with its label units.
        raw: `[N, outputs]`.
        label: `[N]`; places 0, 1, … of a leveled kind.
        weight: `[N]`, if the task has row weights.

    Raises:
        UserError: the task names a metric that is not in `METRICS`; a plug-in's metric that raises or is no number.
    """
    observed = ~label.isnan() if weight is None else ~label.isnan() & (weight > 0)
    scored = Scored(task, raw[observed].double(), label[observed].double())
    metrics = {name: METRICS.make(name, {}) for name in task.reported}
    rows = len(scored.label)
    return {name: _value(name, metric, scored) if rows else None for name, metric in metrics.items()} | {"rows": rows}


def _value(name: str, metric: Metric, scored: Scored) -> float | None:
    """The metric's value; of somebody else's metric, whatever it raises or gives is told as its own."""
    if is_ours(type(metric)):
        return metric.compute(scored)
    told = f"metric {name!r} ({type(metric).__module__}.{type(metric).__qualname__}) of task {scored.task.name}"
    try:
        with isolated_random(None):
            value = metric.compute(scored)
    except Exception as error:
        raise UserError(f"{told} raised {type(error).__name__}: {error}") from error
    if value is not None and not (isinstance(value, (int, float)) and math.isfinite(value)):
        raise UserError(f"{told} gave {value!r}; a metric is a finite number, or None where it is not defined")
    return None if value is None else float(value)
