"""Trials of changes: what a line of the config does on the validation rows, before anybody is told to write it."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from trunkline.config.tasks import TaskConfig
from trunkline.errors import UserError
from trunkline.inference.calibration import fit_calibrators
from trunkline.inference.model import Model
from trunkline.insight.diagnosis.findings import Change, Finding, Tried
from trunkline.insight.quality.assess import VALID_ROWS, estimates, evenly
from trunkline.insight.statistics.intervals import Interval
from trunkline.insight.statistics.jackknife import Groups, interval
from trunkline.insight.statistics.predictions import Judged
from trunkline.insight.statistics.student_t import quantile
from trunkline.insight.statistics.weighted import MAKERS
from trunkline.log_level import only_errors
from trunkline.preparation.data import Data
from trunkline.tables import Batch, Store
from trunkline.tasks import Binary, Multiclass, Task
from trunkline.training.fit import fit

MOST = 3
"""Trainings of one run's trials: with more of them, one would help by chance."""
TAIL = 0.006
"""Probability of such a gain, or loss, by chance: of `MOST` trials one in fifty would seem to help."""
CALIBRATE = ".calibrate"


@final
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a change did.

    Attributes:
        gains: by task, how its headline metric moved.
        scores: by task, that metric before and after.
        worse: tasks whose probabilities became worse, with their log loss before and after.
        failed: why nothing can be said; empty otherwise.
    """

    gains: Mapping[str, Interval] = field(default_factory=dict)
    scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    worse: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    failed: str = ""


def try_changes(
    findings: Sequence[Finding],
    model: Model,
    stores: Mapping[str, Store],
    *,
    seconds: float,
    frames: Mapping[str, Any] | None = None,
    on_trial: Callable[[str], None] = lambda change: None,
) -> list[Finding]:
    """The findings with what their changes did, of as many as there is time for.

    Corrections of estimates are fitted to one half of the validation rows and judged on the other, in turn. Everything
    else is trained anew, from the run's own config and rows, in a folder that goes away.

    Args:
        findings: with changes to try.
        model: of the run.
        stores: its encoded rows.
        seconds: no training begins that would, by the run's own time, end later.
        frames: its rows by part, where they came from memory.
        on_trial: called with a change that is about to be tried.
    """
    if "valid" not in stores:
        return list(findings)
    began, outcomes = time.monotonic(), dict[Change, Outcome]()
    valid = evenly(stores["valid"], VALID_ROWS)
    longest, trainings = float(model.metrics["train_seconds"]), 0
    found = []
    for finding in findings:
        tried = list[Tried]()
        for change in finding.changes:
            if change not in outcomes:
                if change.path.endswith(CALIBRATE):
                    with only_errors():
                        outcomes[change] = _calibrated(change, finding.subject, model, valid)
                else:
                    start = time.monotonic()
                    if trainings == MOST or start - began + longest > seconds:
                        continue
                    on_trial(str(change))
                    outcomes[change] = _trained(change, model, valid, frames or {})
                    trainings, longest = trainings + 1, max(longest, time.monotonic() - start)
            tried.append(_told(change, outcomes[change], finding.subject))
            if tried[-1].helps:
                break
        found.append(replace(finding, tried=tuple(tried)))
    return found


def _calibrated(change: Change, name: str, model: Model, valid: Batch) -> Outcome:
    """A correction fitted to each half of the rows and judged on the other."""
    task = next(task for task in model.network.tasks if task.name == name)
    label, weight = valid.labels[name], valid.weights.get(name)
    raw, weights = estimates(model, valid)[name], {} if weight is None else {name: weight}
    half = torch.from_numpy(np.random.default_rng(0).permutation(len(label)) % 2 == 0)
    after = raw.clone()
    try:
        for fitted, judged in ((half, ~half), (~half, half)):
            kept = torch.where(fitted, label, torch.nan)
            after[judged] = fit_calibrators({name: change.value}, [task], {name: raw}, {name: kept}, weights)[name](
                raw[judged]
            )
    except (UserError, KeyError) as error:
        return Outcome(failed=str(error) if isinstance(error, UserError) else "too few labels")
    moved = _losses(task, after, label, weight) - (losses := _losses(task, raw, label, weight))
    gain = -float(moved.mean())
    se = float(moved.std(correction=0)) / len(moved) ** 0.5
    return Outcome(
        gains={name: Interval(gain, gain - 1.96 * se, gain + 1.96 * se, se)},
        scores={name: (float(losses.mean()), float(losses.mean()) - gain)},
    )


def _trained(change: Change, model: Model, valid: Batch, frames: Mapping[str, Any]) -> Outcome:
    """The run's config with the change, trained on its rows."""
    kept: dict[str, Data] = {}
    try:
        with only_errors():  # warnings of the run were told when it was trained
            other = fit(
                model.config,
                overrides={"training.trackers": [], **_override(change, model)},
                on_trained=lambda _, data: kept.update(data=data),
                progress=False,
                train=frames.get("train"),
                valid=frames.get("valid"),
                test=frames.get("test"),
            )
            rows = evenly(kept["data"].stores["valid"], VALID_ROWS)
            return _compared(model, valid, other, rows)
    except UserError as error:
        return Outcome(failed=error.problems[0])
    except (RuntimeError, MemoryError) as error:  # of a device that holds one network and no second
        return Outcome(failed=f"{type(error).__name__}: {error}")


def _override(change: Change, model: Model) -> dict[str, Any]:
    """The change as `fit` takes it: another kind of task has none of the options of the old one."""
    start, _, last = change.path.rpartition(".")
    if not start.startswith("tasks.") or last != "kind":
        return {change.path: change.value}
    own = model.config.tasks[start.removeprefix("tasks.")].model_dump(mode="json")
    common = {name: value for name, value in own.items() if name in TaskConfig.model_fields}
    return {start: {**common, "kind": change.value}}


def _compared(model: Model, valid: Batch, other: Model, rows: Batch) -> Outcome:
    """Both on the same rows, by the headline metrics of the first."""
    if len(rows) != len(valid):
        return Outcome(failed="it reads other rows")
    groups = Groups(len(valid), np.random.default_rng(0))
    before, after = estimates(model, valid), estimates(other, rows)
    gains, scores, worse = dict[str, Interval](), dict[str, tuple[float, float]](), dict[str, tuple[float, float]]()
    for old, new in zip(model.network.tasks, other.network.tasks, strict=True):
        name = old.name
        judged, again = (Judged(t, b.labels[name], b.weights.get(name)) for t, b in ((old, valid), (new, rows)))
        if not len(judged.rows):
            continue
        if not np.array_equal(judged.rows, again.rows) or not np.array_equal(judged.target, again.target):
            return Outcome(failed="it reads other rows")
        maker = MAKERS[old.headline]
        one = groups.scores(maker(judged.value(before[name]), judged.target), judged.rows)
        two = groups.scores(maker(again.value(after[name]), judged.target), judged.rows)
        if (gain := interval(two - one)) is not None:
            gains[name], scores[name] = gain, (float(one[0]), float(two[0]))
        if type(old) is type(new) and isinstance(old, (Binary, Multiclass)):
            first, second = (
                _losses(t, raws[name], b.labels[name], b.weights.get(name))
                for t, raws, b in ((old, before, valid), (new, after, rows))
            )
            moved = second - first
            if float(moved.mean()) > quantile(TAIL, math.inf) * float(moved.std(correction=0)) / len(moved) ** 0.5:
                worse[name] = float(first.mean()), float(second.mean())
    return Outcome(gains=gains, scores=scores, worse=worse)


def _losses(task: Task, raw: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
    """Of the rows that count `[n]`, in nats, each as often as it weighs, 1 in the mean."""
    counts = ~label.isnan() if weight is None else ~label.isnan() & (weight > 0)
    losses = task.loss(raw[counts].double(), label[counts].double())
    return losses if weight is None else losses * weight[counts].double() / weight[counts].double().mean()


def _sure(gain: Interval, sign: int) -> bool:
    """Whether a gain (1), or a loss (-1), is no chance, by Student's t where few groups of rows tell."""
    if gain.se is None:
        return False
    return sign * gain.value > quantile(TAIL, math.inf if gain.df is None else gain.df) * gain.se


def _told(change: Change, outcome: Outcome, task: str) -> Tried:
    if outcome.failed or task not in outcome.gains:
        why = outcome.failed or "its score is not defined on these rows"
        return Tried(change=str(change), helps=False, known=False, sentence=why)
    gain, (before, after) = outcome.gains[task], outcome.scores[task]
    losers = [name for name, one in outcome.gains.items() if name != task and _sure(one, -1)]
    gained = _sure(gain, 1)
    what = f"{task}'s log loss" if change.path.endswith(CALIBRATE) else task
    text = f"{what} {before:.4f} -> {after:.4f}"
    if gain.low is not None and gain.high is not None:
        way = "better" if gain.value >= 0 else "worse"
        text += f" ({way} by {abs(gain.value):.4f} ± {(gain.high - gain.low) / 2:.4f})"
    for name in losers:
        text += f"; {name} loses: {outcome.scores[name][0]:.4f} -> {outcome.scores[name][1]:.4f}"
    for name, (first, second) in outcome.worse.items():
        text += f"; {name}'s probabilities get worse: log loss {first:.4f} -> {second:.4f}"
    return Tried(change=str(change), helps=gained and not losers and not outcome.worse, sentence=text)
