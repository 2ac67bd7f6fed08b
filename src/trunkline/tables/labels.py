"""Label columns in, label tensors out: NaN where not observed, and one message for all that is wrong."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.tables.rows import BadValue, refuse_where
from trunkline.tasks import Binary, Multiclass, Regression, Task, sample_space

Value = str | int | float | bool


@final
@dataclass(frozen=True)
class Labels:
    """The tasks as the training rows made them: label units and classes known.

    Attributes:
        tasks: the tasks, with `center`, `scale` and `classes` filled in.
        classes: the values of each multiclass task's label, by class index.
    """

    tasks: tuple[Task, ...]
    classes: dict[str, list[Value]]

    @classmethod
    def fit(cls, tasks: Sequence[Task], frame: pl.DataFrame, *, standardize: Mapping[str, bool] | None = None) -> Self:
        """Learn classes and label units from training rows.

        Args:
            tasks: the tasks, `where` and `reads` already checked.
            frame: training rows.
            standardize: by regression task, whether its loss is in units of its standard deviation; true by default.

        Raises:
            UserError: a missing label column, one of the wrong kind, without an observed row or constant; an infinite
                label or weight; all of them.
        """
        classes = {
            task.name: sorted(_values(frame[task.column]), key=lambda value: (str(type(value)), value))
            for task in tasks
            if isinstance(task, Multiclass) and task.column in frame.columns
        }
        labels = cls(tuple(tasks), classes)
        encoded = labels.encode(frame)
        problems = Problems()
        fitted: list[Task] = []
        for task in tasks:
            known = encoded[task.name][~encoded[task.name].isnan()].double()
            inside = f" where {task.where} happened" if task.where else ""
            if len(known) == 0:
                problems.add(f"task {task.name}: column {task.column!r} has no observed label in train{inside}")
            elif bool((known == known[0]).all()):
                problems.add(
                    f"task {task.name}: column {task.column!r} is constant in train{inside} "
                    f"({_plain(known[0].item())} in all {len(known)} observed rows); there is nothing to learn"
                )
            elif isinstance(task, Multiclass):
                fitted.append(replace(task, classes=len(classes[task.name])))
            elif isinstance(task, Regression) and (standardize or {}).get(task.name, True):
                fitted.append(replace(task, center=known.mean().item(), scale=known.std(correction=0).item()))
            else:
                fitted.append(task)
        problems.raise_if_any()
        return cls(tuple(fitted), classes)

    def encode(self, frame: pl.DataFrame) -> dict[str, Tensor]:
        """Labels `{task: [N]}` of rows, NaN where null, NaN or outside the task's `where`.

        Binary labels and class indices are float32, regression labels float64.

        Raises:
            UserError: what `fit` lists, except constant and unobserved labels; a class that training did not have.
        """
        problems, labels = Problems(), {}
        for task in self.tasks:
            if task.column not in frame.columns:
                hint = did_you_mean(task.column, frame.columns)
                problems.add(f"task {task.name}: label column {task.column!r} is not in the table{hint}")
                continue
            try:
                labels[task.name] = torch.from_numpy(self._encode(task, frame[task.column]))
            except BadValue as error:
                problems.add(f"task {task.name}: {error.in_table(frame)}")
            except UserError as error:
                problems.add(f"task {task.name}: {error}")
        problems.raise_if_any()
        return sample_space(self.tasks, labels)

    def weights(self, frame: pl.DataFrame) -> dict[str, Tensor]:
        """Row weights `{task: [N]}` float32 of the tasks that have them.

        Raises:
            UserError: a weight column that is missing, or holds text, nulls, or a weight below 0 or not finite.
        """
        problems, weights = Problems(), {}
        for task in self.tasks:
            if task.weight is None:
                continue
            if task.weight not in frame.columns:
                hint = did_you_mean(task.weight, frame.columns)
                problems.add(f"task {task.name}: weight column {task.weight!r} is not in the table{hint}")
                continue
            series = frame[task.weight]
            if not series.dtype.is_numeric():
                problems.add(f"task {task.name}: weight column {task.weight!r} is {series.dtype}; weights are numbers")
                continue
            values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            try:
                wrong = ~(np.isfinite(values) & (values >= 0))
                refuse_where(series, wrong, "weights are finite and 0 or above")
            except BadValue as error:
                problems.add(f"task {task.name}: {error.in_table(frame)}")
            weights[task.name] = torch.from_numpy(values.astype(np.float32))
        problems.raise_if_any()
        return weights

    def to_json(self) -> dict[str, Any]:
        """What training rows taught, by task, in plain values."""
        learned: dict[str, Any] = {}
        for task in self.tasks:
            if isinstance(task, Multiclass):
                learned[task.name] = {"classes": self.classes[task.name]}
            elif isinstance(task, Regression):
                learned[task.name] = {"center": task.center, "scale": task.scale}
            else:
                learned[task.name] = {}
        return learned

    @classmethod
    def from_json(cls, tasks: Sequence[Task], learned: Mapping[str, Any]) -> Self:
        """The labels that `to_json` described, for the same tasks."""
        fitted, classes = [], {}
        for task in tasks:
            facts = learned[task.name]
            if isinstance(task, Multiclass):
                classes[task.name] = list(facts["classes"])
                task = replace(task, classes=len(facts["classes"]))
            elif isinstance(task, Regression):
                task = replace(task, center=float(facts["center"]), scale=float(facts["scale"]))
            fitted.append(task)
        return cls(tuple(fitted), classes)

    def _encode(self, task: Task, series: pl.Series) -> np.ndarray:
        if isinstance(task, Multiclass):
            return _encode_classes(series, self.classes[task.name])
        if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
            shown = ", ".join(repr(value) for value in _values(series)[:3])
            needs = "0/1 or true/false" if isinstance(task, Binary) else "numbers"
            raise UserError(f"column {series.name!r} is {series.dtype} ({shown} …); a {task.kind} label is {needs}")
        values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        refuse_where(series, np.isinf(values), "labels are finite; leave the field empty where it is not observed")
        if not isinstance(task, Binary):
            return values.copy()
        rule = "a binary label is 0/1 or true/false (for more values: kind multiclass or regression)"
        refuse_where(series, ~(np.isnan(values) | (values == 0) | (values == 1)), rule)
        return values.astype(np.float32)


def _encode_classes(series: pl.Series, classes: list[Value]) -> np.ndarray:
    index = {value: i for i, value in enumerate(classes)}
    if series.dtype.is_float():
        rule = "classes are finite; leave the field empty where it is not observed"
        refuse_where(series, series.is_infinite().fill_null(False), rule)
    clean = series.fill_nan(None) if series.dtype.is_float() else series
    values = [math.nan if value is None else index.get(value, -1) for value in clean.to_list()]
    encoded = np.asarray(values, dtype=np.float32)
    shown = ", ".join(repr(value) for value in classes[:10]) + (" …" if len(classes) > 10 else "")
    refuse_where(series, encoded == -1, f"the training rows have no such class ({shown})")
    return encoded


def _values(series: pl.Series) -> list[Value]:
    clean = series.fill_nan(None) if series.dtype.is_float() else series
    values: list[Value] = clean.drop_nulls().unique(maintain_order=True).to_list()
    return values


def _plain(value: float) -> str:
    return f"{value:g}"
