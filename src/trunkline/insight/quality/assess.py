"""Assessing a trained network: each task's score beside a constant's and a linear model's, on the validation rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trunkline.inference.evaluate import final_outputs, raw_outputs
from trunkline.inference.model import Model
from trunkline.insight.quality.linear_model import LinearModel
from trunkline.insight.quality.task_quality import Calibration, LabelShape, TaskQuality
from trunkline.insight.statistics.intervals import Interval
from trunkline.insight.statistics.jackknife import Groups, interval
from trunkline.insight.statistics.predictions import Judged
from trunkline.insight.statistics.weighted import MAKERS, Numbers, r2
from trunkline.metrics import METRICS, score
from trunkline.metrics.scored import Scored
from trunkline.tables import Batch, Batches, Store
from trunkline.tasks import Binary, Task

TRAIN_ROWS, VALID_ROWS = 30_000, 100_000
"""Rows that are looked at, evenly spread: for the linear model, and for the scores."""
CHANCE = {"auc": 0.5, "macro_auc": 0.5}
"""Of a headline metric, for estimates that are the same for every row; 0 for the others."""
LOSSES = ("log_loss", "poisson_deviance", "nll", "pinball", "log_rmse", "rmse")
"""Metrics by which overfitting shows, the first that a task reports."""
MEANS = ("regression", "poisson", "negative_binomial", "lognormal", "zero_inflated_lognormal", "mixture_density")
"""Kinds whose estimate is the label's mean."""
DRAWS = 100
"""Labels drawn from the estimates, to see what calibration error chance alone makes."""


def assess(model: Model, stores: Mapping[str, Store]) -> dict[str, TaskQuality]:
    """Quality of every task that has observed rows in both parts; nothing where there are no validation rows.

    Args:
        model: the selected epoch's, calibrated if it is to be.
        stores: encoded rows of each part.
    """
    if "valid" not in stores:
        return {}
    train, valid = evenly(stores["train"], TRAIN_ROWS), evenly(stores["valid"], VALID_ROWS)
    tasks = model.network.tasks
    made = estimates(model, valid)
    groups = Groups(len(valid), np.random.default_rng(0)) if len(valid) else None
    test = _test_scores(model, stores["test"]) if "test" in stores else {}
    found = {}
    for task in tasks:
        judged = Judged(task, valid.labels[task.name], valid.weights.get(task.name))
        label = _shape(stores["train"].rows.labels[task.name])
        if groups is not None and len(judged.rows) and label.rows:
            quality = _of(task, judged, made[task.name], train, valid, groups, model.history, label)
            found[task.name] = replace(quality, test=test.get(task.name))
    return found


def _test_scores(model: Model, store: Store) -> dict[str, Interval | None]:
    """The headline metric of each task on test rows."""
    rows = evenly(store, VALID_ROWS)
    made, groups, found = estimates(model, rows), Groups(len(rows), np.random.default_rng(1)), {}
    for task in model.network.tasks:
        judged = Judged(task, rows.labels[task.name], rows.weights.get(task.name))
        if len(judged.rows):
            metric = MAKERS[task.headline](judged.value(made[task.name]), judged.target)
            found[task.name] = interval(groups.scores(metric, judged.rows))
    return found


def evenly(store: Store, most: int) -> Batch:
    """All rows, or so many of them evenly spread."""
    if len(store) <= most:
        return store.rows
    return store.rows.take(torch.from_numpy(np.linspace(0, len(store) - 1, most).astype(np.int64)))


def estimates(model: Model, rows: Batch) -> dict[str, Tensor]:
    """Final raw outputs `{task: [N, outputs]}` float64, joint and calibrated."""
    raws = raw_outputs(model.network, Batches(store=Store.of(rows), size=8192), model.device)
    doubles = {name: raw.double() for name, raw in raws.items()}
    return final_outputs(model.network.tasks, doubles, model.calibrators)


def _of(
    task: Task,
    judged: Judged,
    raw: Tensor,
    train: Batch,
    valid: Batch,
    groups: Groups,
    history: Sequence[Mapping[str, Any]],
    label: LabelShape,
) -> TaskQuality:
    maker = MAKERS[task.headline]
    scores = groups.scores(maker(judged.value(raw), judged.target), judged.rows)
    linear = constant = ahead = None
    if _observed(task, train):
        model = LinearModel(task, train, valid)
        if math.isinf(model.ridge):  # a constant has no rank correlation, and is no better for that
            beside = np.full(len(scores), CHANCE.get(task.headline, 0.0))
        else:
            beside = groups.scores(maker(judged.value(model.raw), judged.target), judged.rows)
        linear, ahead = _finite(beside[0]), interval(scores - beside)
        constant = model.constant.expand(len(valid), -1)
    measure = next((name for name in LOSSES if name in task.reported), task.headline)
    epochs = [line for line in history if line.get("valid")]
    scored = Scored(task, raw[judged.rows], valid.labels[task.name][judged.rows].double())
    means = task.kind in MEANS
    return TaskQuality(
        task=task.name,
        kind=task.kind,
        headline=task.headline,
        rows=len(judged.rows),
        score=interval(scores),
        constant=CHANCE.get(task.headline, 0.0),
        base=float(judged.target.mean()) if isinstance(task, Binary) else None,
        r2=interval(groups.scores(r2(scored.estimate.numpy(), judged.target), judged.rows)) if means else None,
        linear=linear,
        ahead=ahead,
        calibration=_calibration(task, scored) if _counted_once(task, valid, means=means) else None,
        measure=measure,
        epochs=tuple(_finite(line["valid"].get(task.name, {}).get(measure)) for line in epochs),
        error=_error(task, raw, valid, groups, judged, measure),
        better=bool(METRICS[measure].higher_is_better),
        constant_measure=None if constant is None else _measured(task, constant, valid, measure),
        headlines=tuple(_finite(line["valid"].get(task.name, {}).get(task.headline)) for line in epochs),
        losses=_losses(task.name, history),
        selected=next((i for i, line in reversed(list(enumerate(epochs))) if line.get("best")), None),
        label=label,
    )


def _counted_once(task: Task, rows: Batch, *, means: bool) -> bool:
    """Whether its estimates are to agree with the labels in the mean; those of weighted rows agree with others."""
    weight = rows.weights.get(task.name)
    return (means or isinstance(task, Binary)) and (weight is None or bool((weight[weight > 0].diff() == 0).all()))


def _observed(task: Task, rows: Batch) -> bool:
    label, weight = rows.labels[task.name], rows.weights.get(task.name)
    return bool((~label.isnan() if weight is None else ~label.isnan() & (weight > 0)).any())


def _measured(task: Task, raw: Tensor, rows: Batch, measure: str) -> float | None:
    return _finite(score(task, raw, rows.labels[task.name], rows.weights.get(task.name)).get(measure))


def _error(task: Task, raw: Tensor, rows: Batch, groups: Groups, judged: Judged, measure: str) -> float | None:
    """The standard error of a metric, by leaving groups of rows out."""
    values = list[float]()
    for group in range(-1, groups.count):
        kept = judged.rows[groups.of[judged.rows] != group]
        scored = Scored(task, raw[kept], rows.labels[task.name][kept].double())
        value = METRICS.make(measure, {}).compute(scored) if len(kept) else None
        values.append(math.nan if value is None else value)
    found = interval(np.array(values))
    return None if found is None else found.se


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _losses(task: str, history: Sequence[Mapping[str, Any]]) -> tuple[float | None, ...]:
    """The mean of the training losses that the lines of each epoch tell."""
    by_epoch: dict[int, list[float]] = {}
    epochs = 0
    for line in history:
        if "losses" in line and (value := line["losses"].get(task)) is not None:
            by_epoch.setdefault(line["epoch"], []).append(value)
        epochs += "valid" in line
    return tuple(float(np.mean(by_epoch[e])) if e in by_epoch else None for e in range(epochs))


def _shape(label: Tensor) -> LabelShape:
    known = label[~label.isnan()].double()
    if not len(known):
        return LabelShape(rows=0, zeros=0.0, negative=False, whole=False, spread=0.0)
    std = float(known.std(correction=0))
    return LabelShape(
        rows=len(known),
        zeros=float((known == 0).double().mean()),
        negative=bool((known < 0).any()),
        whole=bool((known == known.round()).all()),
        spread=float(known.max()) / std if std > 0 else 0.0,
    )


def _calibration(task: Task, scored: Scored) -> Calibration | None:
    estimate, target = scored.estimate, scored.target
    total = float(target.sum())
    if total <= 0 or bool((target < 0).any()):
        return None
    ratio = float(estimate.sum()) / total
    if not math.isfinite(ratio):
        return None
    if not isinstance(task, Binary):
        error = float((target - estimate).std(correction=0)) * math.sqrt(len(target)) / total
        return Calibration(ratio=ratio, error=error)
    error = math.sqrt(float((estimate * (1 - estimate)).sum())) / total
    return Calibration(ratio=ratio, error=error, ece=_ece(task, scored.raw, target), chance=_chance(task, scored.raw))


def _ece(task: Task, raw: Tensor, label: Tensor) -> float | None:
    return METRICS.make("ece", {}).compute(Scored(task, raw, label))


def _chance(task: Task, raw: Tensor) -> float:
    """The 99th percentile of the calibration error when every label is drawn by its estimate."""
    p, draw = task.estimate(raw).numpy(), np.random.default_rng(0)
    drawn: Numbers = np.array(
        [_ece(task, raw, torch.from_numpy((draw.random(len(p)) < p).astype(np.float64))) for _ in range(DRAWS)]
    )
    return float(np.quantile(drawn, 0.99))
