"""Outputs of an estimator: from labels as they were given to a task's column, and from estimates back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, final

import numpy as np
import polars as pl
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from trunkline.errors import Problems, UserError
from trunkline.sklearn.targets import Target
from trunkline.tables.doctor import propose
from trunkline.tasks import TASK_KINDS, Binary, Multiclass, Regression

READ_FROM_Y = ("label", "weight", "values", "missing", "positive", "negative")
"""Options of a task that say how a column is read; an estimator's labels are taken as they are."""
BY_CLASSES, BY_VALUES = "classes", "values"
"""Kinds that the labels decide: `binary` or `multiclass` by the number of classes; any kind, by the column doctor."""


@final
@dataclass(frozen=True)
class Output:
    """What an estimator knows of one output.

    Attributes:
        name: of its task.
        classes: `[K]` its classes in order, as they were given; None where it is a number.
        section: its task, as a config has it.
    """

    name: str
    classes: np.ndarray | None
    section: Mapping[str, Any]

    @property
    def columns(self) -> list[str]:
        """Where a multiclass task's estimates have the probability of each class."""
        return [f"{self.name}_{place}" for place in range(0 if self.classes is None else len(self.classes))]

    def column(self, target: Target) -> pl.Series:
        """The label's column `[N]`: places of classes, or numbers; null where not observed."""
        if self.classes is None:
            column = np.full(len(target.observed), np.nan)
            column[target.observed] = as_numbers(target.values, name=self.name)
            return pl.Series(self.name, column, nan_to_null=True)
        places = np.full(len(target.observed), -1, dtype=np.int64)
        places[target.observed] = np.searchsorted(self.classes, target.values)
        return pl.Series(self.name, places).replace(-1, None)

    def probabilities(self, estimates: pl.DataFrame) -> np.ndarray | None:
        """`[N, K]` float64 of the classes in order; None where the output is a number."""
        if self.classes is None:
            return None
        if self.section["kind"] == Binary.kind:
            happened = estimates[self.name].cast(pl.Float64).to_numpy()
            return np.column_stack([1 - happened, happened])
        found = estimates.select(self.columns).cast(pl.Float64).to_numpy()
        return np.asarray(found / found.sum(axis=1, keepdims=True))  # of float32, whose sum is 1 but for rounding

    def predicted(self, estimates: pl.DataFrame) -> np.ndarray:
        """`[N]`: the most probable class, or the estimate in the label's own unit, float64."""
        found = self.probabilities(estimates)
        if found is None or self.classes is None:
            return estimates[self.name].cast(pl.Float64).to_numpy()
        return np.asarray(self.classes[found.argmax(axis=1)])


def make_output(name: str, target: Target, section: Mapping[str, Any]) -> Output:
    """The output of labels.

    Args:
        name: of the task.
        target: its labels in training rows.
        section: the task as the user gives it, with its `kind`, or `BY_CLASSES` or `BY_VALUES` for that.

    Raises:
        UserError: options that say how a column is read, no label, a single class, labels that make no classes.
        ValueError: labels that scikit-learn takes for no classes.
    """
    wrong = [option for option in READ_FROM_Y if option in section]
    if wrong:
        raise UserError(
            f"tasks.{name}: {', '.join(wrong)} say how a column is read; an estimator takes y as it is: give the "
            "labels themselves, NaN or None where one is missing, and row weights as sample_weight"
        )
    if not len(target.values):
        raise UserError(f"output {name!r}: every label is missing; leave it out, or give rows in which it was observed")
    kind = section["kind"]
    if kind == BY_VALUES:
        found = propose(pl.Series(name, target.values.tolist(), strict=False)).kind
        kind = BY_CLASSES if found in (Binary.kind, Multiclass.kind) else found
        if kind == BY_CLASSES and type_of_target(target.values).startswith("continuous"):
            kind = Regression.kind
    if kind != BY_CLASSES and not issubclass(TASK_KINDS.find(kind), (Binary, Multiclass)):
        return Output(name, None, {**section, "kind": kind})
    classes = _classes(name, target)
    if kind == BY_CLASSES:
        kind = Binary.kind if len(classes) == 2 else Multiclass.kind
    if kind == Binary.kind and len(classes) > 2:
        told = ", ".join(map(repr, classes[:5].tolist()))
        raise UserError(
            f"output {name!r} has {len(classes)} classes ({told}, …); a binary task has two: say multiclass"
        )
    return Output(name, classes, {**section, "kind": kind})


def check_names(outputs: Sequence[Output]) -> None:
    """Refuse outputs of which one is called as the estimates of another's classes are.

    Raises:
        UserError: there are such.
    """
    problems, names = Problems(), {output.name for output in outputs}
    for output in outputs:
        if output.section["kind"] == Multiclass.kind and output.classes is not None:
            for name in sorted(names.intersection(output.columns)):
                problems.add(
                    f"output {name!r} is called as a class's estimate of output {output.name!r}; rename one of them"
                )
    problems.raise_if_any()


def as_numbers(values: np.ndarray, *, name: str) -> np.ndarray:
    """Observed labels as float64.

    Raises:
        ValueError: a label that is no number, or infinite.
    """
    plain = values.tolist() if values.dtype.kind == "O" else []
    wrong = next((one for one in plain if not isinstance(one, (int, float, Decimal))), None)
    if wrong is not None or values.dtype.kind not in "biufO":
        told = repr(wrong) if plain else f"{values.tolist()[0]!r} ({values.dtype})" if len(values) else values.dtype
        raise UserError(f"output {name!r} is a number, and y has {told} in it; give numbers")
    numbers = np.asarray(values, dtype=np.float64)
    assert_all_finite(numbers, input_name="y")
    return numbers


def _classes(name: str, target: Target) -> np.ndarray:
    assert_all_finite(target.values, input_name="y")
    if target.values.dtype.kind == "O" and type_of_target(target.values) == "unknown":
        other = next((one for one in target.values if not isinstance(one, str)), target.values[0])
        raise UserError(
            f"Unknown label type: output {name!r} holds {other!r} ({type(other).__name__}); classes are text, whole "
            "numbers, truths or datetime64 without a zone: turn them into one of these (`.astype(str)` makes text)"
        )
    check_classification_targets(target.values)
    try:
        classes = np.unique(target.values)
    except TypeError as error:
        raise UserError(f"output {name!r} has classes that cannot be ordered ({error}); give them one type") from error
    if len(classes) < 2:
        raise UserError(
            f"output {name!r} has one class, {classes.tolist()[0]!r}, in these rows; a classifier needs "
            "two classes or more"
        )
    return classes
