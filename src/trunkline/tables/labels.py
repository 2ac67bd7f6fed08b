"""The encoder of label columns: NaN where not observed, and one message for all that is wrong."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.tables.columns.classes import Classes, Value
from trunkline.tables.columns.moments import Moments
from trunkline.tables.label_json import learned_fields, weight_scale
from trunkline.tables.label_rows import counted_rows, where_last
from trunkline.tables.label_values import read_labels
from trunkline.tables.rows import ROW, BadValue, refuse_where
from trunkline.tasks import Binary, LabelFacts, Ordinal, Task, sample_space

FARTHEST = 1e30
"""The largest label: losses and errors are in float32, which ends at 3e38."""
NARROWEST = 1e-30
"""The smallest spread of numbers as labels: below it float32, which ends at 1e-38, makes zeros of their estimates."""
HEAVIEST = 1e30
"""The largest weight of a row: losses are summed in float32, which ends at 3e38."""


@final
@dataclass(frozen=True)
class Labels:
    """The tasks as the training rows made them: label units and classes known.

    Attributes:
        tasks: the tasks, with `center`, `scale` and `classes` filled in.
        classes: the values of each leveled task's label (multiclass, ordinal), by place.
        weight_scales: the power of two that row weights are multiplied by, of tasks whose weights are so large or small
            that float32 would not hold them.
    """

    tasks: tuple[Task, ...]
    classes: dict[str, list[Value]]
    weight_scales: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fit(cls, tasks: Sequence[Task], frame: pl.DataFrame) -> "Labels":
        """Learn classes and label units from training rows that are all there; `LabelsFitter` takes them in chunks.

        Args:
            tasks: the tasks, `where` and `reads` already checked.
            frame: training rows.

        Raises:
            UserError: a missing label column, one of the wrong kind, without an observed row or constant; an infinite
                label or weight; all of them.
        """
        fitter = LabelsFitter(tasks)
        fitter.see(frame)
        return fitter.done()

    def encode(self, frame: pl.DataFrame) -> dict[str, Tensor]:
        """Labels `{task: [N]}` of rows, NaN where null, NaN or outside the task's `where`.

        Binary labels and class indices are float32, regression labels float64.

        Raises:
            UserError: what `fit` lists, except constant and unobserved labels; a class that training did not have.
        """
        labels, wrong = _encode(self.tasks, frame, self._known)
        if wrong:
            raise UserError(list(wrong.values()))
        return sample_space(self.tasks, labels)

    def weights(self, frame: pl.DataFrame) -> dict[str, Tensor]:
        """Row weights `{task: [N]}` float32 of the tasks that have them.

        Raises:
            UserError: a weight column that is missing, or holds text, nulls, or a weight below 0 or above `HEAVIEST`.
        """
        problems, weights = Problems(), {}
        for task in self.tasks:
            if task.weight is None:
                continue
            if task.weight not in frame.columns:
                hint = did_you_mean(task.weight, frame.columns) or "; add it, with 1 for rows that count as any other"
                problems.add(f"task {task.name}: weight column {task.weight!r} is not in the table{hint}")
                continue
            series = frame[task.weight]
            if not series.dtype.is_numeric():
                problems.add(f"task {task.name}: weight column {task.weight!r} is {series.dtype}; weights are numbers")
                continue
            values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            try:
                refuse_where(series, ~((values >= 0) & (values <= HEAVIEST)), f"weights lie from 0 to {HEAVIEST:g}")
                scaled = values * self.weight_scales.get(task.name, 1.0)
                weights[task.name] = torch.from_numpy(scaled.astype(np.float32))
            except BadValue as error:
                problems.add(f"task {task.name}: {error.in_table(frame)}")
        problems.raise_if_any()
        return weights

    def to_json(self) -> dict[str, Any]:
        """What training rows taught, by task, in plain values."""
        return {
            task.name: task.learned()
            | ({"levels": self.classes[task.name]} if task.leveled else {})
            | ({"weight_scale": self.weight_scales[task.name]} if task.name in self.weight_scales else {})
            for task in self.tasks
        }

    @classmethod
    def from_json(cls, tasks: Sequence[Task], learned: Mapping[str, Any]) -> Self:
        """The labels that `to_json` described, for the same tasks or some of them.

        Raises:
            UserError: it does not describe them, or is nothing that training rows teach; all of it.
        """
        if not isinstance(learned, Mapping) or not {task.name for task in tasks} <= set(learned):
            raise UserError(f"labels must be those of the tasks {', '.join(task.name for task in tasks)}")
        problems, fitted = Problems(), list[Task]()
        classes: dict[str, list[Value]] = {}
        scales: dict[str, float] = {}
        for task in tasks:
            with problems.collect():
                told = dict(learned[task.name]) if isinstance(learned[task.name], Mapping) else learned[task.name]
                if isinstance(told, dict) and task.weight is not None and "weight_scale" in told:
                    scales[task.name] = weight_scale(task, told.pop("weight_scale"))
                known = learned_fields(task, told)
                fitted.append(task.with_learned(known))
                if task.leveled:
                    classes[task.name] = known["levels"]
        problems.raise_if_any()
        return cls(tuple(fitted), classes, scales)

    @cached_property
    def _known(self) -> dict[str, Classes]:
        return {name: Classes(values) for name, values in self.classes.items()}


@final
class LabelsFitter:
    """Learns classes and label units from training rows that arrive in chunks.

    Args:
        tasks: the tasks, `where` and `reads` already checked.
        known: tasks among them that have learned already; they keep what they know, whatever these rows show.
    """

    def __init__(self, tasks: Sequence[Task], *, known: Labels | None = None) -> None:
        self._tasks = tuple(tasks)
        self._known = {} if known is None else {task.name: task for task in known.tasks}
        self._classes = {
            task.name: Classes(known.classes[task.name])
            if known is not None and task.name in self._known
            else Classes()
            for task in tasks
            if task.leveled
        }
        self._seen = {task.name: _Seen() for task in tasks}
        self._heaviest: dict[str, float] = {}
        self._wrong: dict[str, str] = {}
        self._rows = 0

    @property
    def problems(self) -> list[str]:
        """What is wrong with the rows so far, one problem a task."""
        return [self._wrong[task.name] for task in self._tasks if task.name in self._wrong]

    def see(self, frame: pl.DataFrame) -> None:
        """Take in some rows; what is wrong with them waits for `done`, so that the user hears of all at once."""
        tasks = [task for task in self._tasks if task.name not in self._wrong]
        new = {task.name for task in tasks if task.name not in self._known}
        labels, wrong = _encode(tasks, frame, self._classes, learn=new, start=self._rows)
        self._wrong |= wrong
        self._rows += len(frame)
        for task in tasks:
            if task.weight in frame.columns and frame[task.weight].dtype.is_numeric():
                heaviest = frame[task.weight].cast(pl.Float64).fill_nan(None).max()
                self._heaviest[task.name] = max(self._heaviest.get(task.name, 0.0), float(heaviest or 0.0))  # type: ignore[arg-type]
        if not self._wrong:
            for name, label in sample_space(self._tasks, labels).items():
                self._seen[name].see(label)

    def done(self) -> Labels:
        """The tasks with what the rows taught.

        Raises:
            UserError: what `Labels.fit` lists; all of it.
        """
        if self._wrong:
            raise UserError(self.problems)
        problems = Problems()
        fitted: list[Task] = []
        levels = {
            name: classes.values if name in self._known else _sorted(classes.values)
            for name, classes in self._classes.items()
        }
        for task in self._tasks:
            seen = self._seen[task.name]
            inside = f" where {task.where} happened" if task.where else ""
            if task.name in self._known:
                fitted.append(self._known[task.name])
            elif not seen.moments.count:
                problems.add(f"task {task.name}: column {task.column!r} has no observed label in train{inside}")
            elif self._heaviest.get(task.name) == 0.0:
                problems.add(f"task {task.name}: weight column {task.weight!r} has no weight above 0 in train")
            elif not seen.varied:
                classes = self._classes.get(task.name)
                value = f"{seen.first:g}" if classes is None else repr(classes.values[int(seen.first)])
                problems.add(
                    f"task {task.name}: column {task.column!r} is constant in train{inside} "
                    f"({value} in all {seen.moments.count} observed rows); there is nothing to learn"
                )
            elif not task.leveled and not isinstance(task, Binary) and seen.moments.std < NARROWEST:
                problems.add(f"task {task.name}: column {task.column!r} {seen.too_close(inside)}")
            else:
                with problems.collect():
                    fitted.append(task.learn(seen.facts(levels.get(task.name, ()))))
        problems.raise_if_any()
        # An ordinal task knows the order of its levels, and those that training rows happen not to have.
        levels |= {task.name: list(task.values) for task in fitted if isinstance(task, Ordinal)}
        return Labels(tuple(fitted), levels, _weight_scales(self._heaviest))


def _weight_scales(heaviest: Mapping[str, float]) -> dict[str, float]:
    """Powers of two that bring the largest weights near 1, where they are far from it."""
    exponents = {name: math.frexp(weight)[1] for name, weight in heaviest.items() if 0 < weight <= HEAVIEST}
    return {name: math.ldexp(1.0, -power) for name, power in exponents.items() if not -30 <= power <= 100}


def _sorted(values: Sequence[Value]) -> list[Value]:
    return sorted(values, key=lambda value: (str(type(value)), value))


class _Seen:
    """What the observed labels of one task have shown, chunk by chunk."""

    def __init__(self) -> None:
        self.moments, self.logs = Moments(), Moments()
        self.first = self.largest = 0.0
        self.varied = False

    def see(self, label: Tensor) -> None:
        values = label.numpy().astype(np.float64)  # numpy stays in this thread
        known = values[~np.isnan(values)]
        if len(known):
            self.first = self.first if self.moments.count else float(known[0])
            self.largest = max(self.largest, float(np.abs(known).max()))
            self.varied = self.varied or bool((known != self.first).any())
            self.moments.add(known)
            self.logs.add(np.log(known[known > 0]))

    def too_close(self, inside: str) -> str:
        """Why labels that are as near one another as these teach nothing."""
        if self.largest < NARROWEST:
            return (
                f"holds no label farther from 0 than {self.largest:g} in train{inside}; labels differ by more than "
                f"{NARROWEST:g}: give it in another unit (times 1e{-round(math.log10(self.largest))})"
            )
        return (
            f"is all but constant in train{inside}: {self.moments.count} labels near {float(self.moments.mean):g} "
            "differ by no more than rounding does; subtract what they have in common, or leave the task out"
        )

    def facts(self, levels: Sequence[Value]) -> LabelFacts:
        """In numbers; `levels` of a kind that has them."""
        return LabelFacts(
            rows=self.moments.count,
            mean=float(self.moments.mean),
            std=float(self.moments.std),
            log_mean=float(self.logs.mean),
            log_std=float(self.logs.std),
            levels=tuple(levels),
        )


def _encode(
    tasks: Sequence[Task],
    frame: pl.DataFrame,
    classes: Mapping[str, Classes],
    *,
    learn: Collection[str] = (),
    start: int = 0,
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Labels of each task, and what is wrong with those that have none."""
    labels: dict[str, Tensor] = {}
    wrong: dict[str, str] = {}
    present = dict.fromkeys(frame.columns)
    for task in tasks:
        if task.column not in present:
            hint = did_you_mean(task.column, present)
            wrong[task.name] = f"task {task.name}: label column {task.column!r} is not in the table{hint}"
    for task in where_last(tasks, wrong):
        series = frame.get_column(task.column)
        counted = counted_rows(task, tasks, labels)
        if counted is not None:
            series = series.set(pl.Series(~counted), None)
        try:
            series = read_labels(task, series)
            if isinstance(task, Ordinal):
                _refuse_far(series)
            if task.leveled:
                label = classes[task.name].encode(series, learn=task.name in learn)
            else:
                label = _encode_numbers(task, series)
            labels[task.name] = torch.from_numpy(label)
        except BadValue as error:
            wrong[task.name] = f"task {task.name}: {_of_all(error, frame, start)}"
        except UserError as error:
            wrong[task.name] = f"task {task.name}: {error}"
    by_name = {task.name: task for task in tasks}
    for task in tasks:
        outer = by_name.get(task.space or "")
        while outer is not None and task.name not in wrong:
            if task.name in labels and outer.name in labels:
                impossible = (labels[task.name] == 1) & (labels[outer.name] == 0)
                rule = f"it cannot happen where {outer.name} ({outer.column!r}) did not (space: {task.space})"
                try:
                    refuse_where(frame.get_column(task.column), impossible.numpy(), rule)
                except BadValue as error:
                    wrong[task.name] = f"task {task.name}: {_of_all(error, frame, start)}"
            outer = by_name.get(outer.space or "")
    return labels, wrong


def _of_all(error: BadValue, frame: pl.DataFrame, start: int) -> UserError:
    """The error with the row's number in the whole table, of which `start` rows came before the frame."""
    error.index += 0 if ROW in frame.columns else start
    return error.in_table(frame)


def _refuse_far(series: pl.Series) -> None:
    """Refuse labels from which no mean error could be made in float32."""
    if series.dtype.is_numeric():
        far = series.cast(pl.Float64).abs().is_between(FARTHEST, math.inf, closed="none").fill_null(False)
        refuse_where(series, far, f"labels lie within ±{FARTHEST:g}; give it in another unit, or mend the row")


def _encode_numbers(task: Task, series: pl.Series) -> np.ndarray:
    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        shown = ", ".join(repr(value) for value in series.drop_nulls().unique(maintain_order=True).to_list()[:3])
        needs = f"a {task.kind} label is {'0/1 or true/false' if isinstance(task, Binary) else 'numbers'}"
        if series.dtype == pl.String:
            # A single word makes text of a column of numbers: it is the word that is wrong then.
            wordy = series.is_not_null() & series.cast(pl.Float64, strict=False).is_null()
            if not wordy.filter(series.is_not_null()).all():
                refuse_where(series, wordy, f"{needs}; say in tasks.{task.name} what it means: `missing` or `values`")
            if isinstance(task, Binary):
                needs += f"; for words say tasks.{task.name}.positive, the one that stands for 1, or `values`"
        raise UserError(f"column {series.name!r} is {series.dtype} ({shown} …); {needs}")
    values = series.cast(pl.Float64).to_numpy()
    refuse_where(series, np.isinf(values), "labels are finite; leave the field empty where it is not observed")
    _refuse_far(series)
    allowed = task.allowed(torch.from_numpy(np.nan_to_num(values))).numpy()
    refuse_where(series, ~(np.isnan(values) | allowed), task.rule)
    return values.astype(np.float32) if isinstance(task, Binary) else values.copy()
