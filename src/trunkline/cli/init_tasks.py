"""The tasks of `trunkline init`: kinds by the labels' values, or as they are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import polars as pl

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.tables import Labels
from trunkline.tables.doctor import propose
from trunkline.tables.label_values import read_labels
from trunkline.tasks import TASK_KINDS, Task
from trunkline.tasks.names import task_name

CLASSES = 5
"""Of a label with levels, so many of the commonest are looked at by themselves for leaks."""


@final
@dataclass(frozen=True, kw_only=True)
class FoundTask:
    """A task for the config.

    Attributes:
        column: of the label.
        section: what the config says.
        task: as that makes it.
        guessed: whether its kind was found, and not given.
        why: of a kind that was found.
        remarks: what a person should look at.
    """

    column: str
    section: dict[str, Any]
    task: Task
    guessed: bool
    why: str = ""
    remarks: Sequence[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Of the task."""
        return str(self.section["kind"])

    def to_json(self) -> dict[str, Any]:
        """In plain values."""
        return {**self.section, "column": self.column, "why": self.why, "remarks": list(self.remarks)}


def find_tasks(asked: Sequence[str], frame: pl.DataFrame, *, comma_likely: bool = False) -> dict[str, FoundTask]:
    """The tasks by name.

    Args:
        asked: `COLUMN` or `COLUMN:KIND`.
        frame: training rows.
        comma_likely: whether a decimal comma is to be expected in text.

    Raises:
        UserError: an unknown column or kind, a column twice, labels that the kind cannot have; all of them.
    """
    problems = Problems()
    tasks: dict[str, FoundTask] = {}
    for text in asked:
        with problems.collect(f"--task {text}: "):
            column, kind = split_task(text, frame.columns)
            name = task_name(column, tasks)
            if column in [one.column for one in tasks.values()]:
                raise UserError(
                    f"task {task_name(column)} is there already; a second one of that label goes into the YAML by hand"
                )
            if kind == "ordinal" and not (frame[column].dtype.is_numeric() or frame[column].dtype == pl.Boolean):
                raise UserError(
                    f"column {column!r} is {frame[column].dtype}, whose order nobody knows but you; say "
                    f"{column}:multiclass here, then in the YAML {{kind: ordinal, levels: [lowest, …, highest]}}"
                )
            found = propose(frame[column], comma_likely=comma_likely)
            same = not kind or kind == found.kind
            # However its numbers are meant, they are written as they are.
            options = found.options if same else {k: v for k, v in found.options.items() if k == "format"}
            label = {"label": column} if name != column else {}
            made = {key: value for key, value in options.items() if key != "values"}
            made |= {"format": tuple(options.get("format", {}).items())}
            made |= {"meanings": tuple(options.get("values", {}).items())}
            task = TASK_KINDS.make(kind or found.kind, made, name=name, label=column)
            tasks[name] = FoundTask(
                column=column,
                section={"kind": kind or found.kind, **label, **options},
                task=task,
                guessed=not kind,
                why=found.why if not kind else "",
                remarks=[*(found.remarks if same else []), *found.readings],
            )
            Labels.fit([task], frame)
    problems.raise_if_any()
    return tasks


def label_of(text: str, columns: Sequence[str]) -> str:
    """The column that `COLUMN` or `COLUMN:KIND` names, whether or not it is there."""
    return text if text in columns or ":" not in text else text.rpartition(":")[0]


def split_task(text: str, columns: Sequence[str]) -> tuple[str, str]:
    """`COLUMN` or `COLUMN:KIND` -> column and kind, which is empty where it is not given.

    Raises:
        UserError: an unknown column or kind.
    """
    column, colon, kind = (text, "", "") if text in columns or ":" not in text else text.rpartition(":")
    if column not in columns:
        raise UserError(f"column {column!r} is not in the table{did_you_mean(column, columns)}")
    if colon and kind not in TASK_KINDS:
        raise UserError(f"kind {kind!r} is unknown{did_you_mean(kind, TASK_KINDS)} (known: {', '.join(TASK_KINDS)})")
    return column, kind


def label_numbers(tasks: Mapping[str, FoundTask], frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Labels as numbers; of one with levels, each of its commonest as 0 and 1."""
    found: dict[str, pl.Series] = {}
    for name, one in tasks.items():
        label = read_labels(one.task, frame[one.column])
        if not one.task.leveled:
            found[name] = label.cast(pl.Float64, strict=False)
            continue
        common = label.drop_nulls().value_counts(sort=True).to_series(0).head(CLASSES)
        for value in common.to_list():
            found[f"{name} {value}"] = (label == value).cast(pl.Float64)
    return found
