"""Decisions: a binary task's estimate turned into 0 or 1 at a threshold that the validation rows chose."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import polars as pl

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.inference.decision_rules import At, Cost, Rule, parse_rule
from trunkline.inference.operating_points import OperatingPoints
from trunkline.tasks import Binary, Task

SUFFIX = "_decision"
FEWEST = 10
"""Validation rows of each label below which a threshold is one of chance."""


@final
@dataclass(frozen=True, kw_only=True)
class Decision:
    """A threshold, and how it does on the validation rows.

    Attributes:
        task: whose estimate it is of.
        rule: that chose it, as text.
        threshold: rows whose estimate is at least so much are 1.
        rows: of the validation part, all of them.
        flagged: share of them that is 1.
        labelled: rows of them whose label counts: observed, inside the task's `where`, of a weight above 0.
        positives: how many of these have label 1.
        precision: share, by weight, of the labelled rows that are 1 and should be; None where none is.
        recall: share of the labelled rows that should be 1 and are; None where none should be.
        f1: 2·TP / (2·TP + FP + FN); None where none is 1 or should be.
        cost: by weight a labelled row, where the rule has costs.
    """

    task: str
    rule: str
    threshold: float
    rows: int
    flagged: float | None
    labelled: int
    positives: int
    precision: float | None
    recall: float | None
    f1: float | None
    cost: float | None

    @property
    def column(self) -> str:
        """The column of zeros and ones."""
        return f"{self.task}{SUFFIX}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"column": self.column, **asdict(self)}

    def __str__(self) -> str:
        """One line, for a person."""
        told = f"{self.column}: 1 where {self.task} >= {self.threshold:.6g} ({self.rule}"
        if not self.rows:
            return f"{told})"
        scores = [
            f"{name} {value:.4g}"
            for name, value in vars(self).items()
            if name in ("precision", "recall", "f1", "cost") and value is not None
        ]
        share = f"flags {100 * (self.flagged or 0.0):.3g} % of {self.rows:,} validation rows"
        if not scores:
            return f"{told}; {share})"
        few = min((self.positives, 1), (self.labelled - self.positives, 0))
        chance = f"; of label {few[1]} only {few[0]}, so few that chance has chosen" if few[0] < FEWEST else ""
        return f"{told}; {share}; {', '.join(scores)} on the {self.labelled:,} with a label that counts{chance})"


def decide(task: str, rule: Rule, points: OperatingPoints | None) -> Decision:
    """The decision of a rule.

    Args:
        task: its name, for messages.
        rule: what to choose by.
        points: of the validation rows; None of a rule that needs none.

    Raises:
        UserError: rows that cannot choose: none, all of one estimate, or without one of both labels.
    """
    if points is None:
        return Decision(
            task=task,
            rule=str(rule),
            threshold=rule.threshold(_NONE),
            rows=0,
            flagged=None,
            labelled=0,
            positives=0,
            precision=None,
            recall=None,
            f1=None,
            cost=None,
        )
    _check(task, rule, points)
    threshold = rule.threshold(points)
    cut = points.cut(threshold)
    flagged, true, false = (float(one[cut]) for one in (points.flagged, points.true_positive, points.false_positive))
    positive, negative, rows = points.positive.sum(), points.negative.sum(), points.rows.sum()
    cost = None
    if isinstance(rule, Cost):
        cost = (rule.false_positive * false + rule.false_negative * (positive - true)) / (positive + negative)
    return Decision(
        task=task,
        rule=str(rule),
        threshold=threshold,
        rows=int(rows),
        flagged=flagged / rows if rows else None,
        labelled=points.ones + points.zeros,
        positives=points.ones,
        precision=_share(true, true + false),
        recall=_share(true, positive),
        f1=_share(2 * true, true + false + positive),
        cost=None if cost is None else float(cost),
    )


def decisions(
    asked: Mapping[str, str | Rule], tasks: Sequence[Task], points: Mapping[str, OperatingPoints] | None
) -> dict[str, Decision]:
    """The decisions asked for, by task.

    Args:
        asked: by task, a rule or its text; see `parse_rule`.
        tasks: of the model.
        points: of the run's validation rows; None where the run kept none.

    Raises:
        UserError: tasks that are not there or not binary, rules that are none, rows that cannot choose; all of them.
    """
    problems, made, kinds = Problems(), dict[str, Decision](), {task.name: task for task in tasks}
    names = [name for name, task in kinds.items() if isinstance(task, Binary)]
    for name, text in asked.items():
        with problems.collect(f"decide {name}={text}: "):
            if name not in kinds:
                raise UserError(f"there is no task {name!r}{did_you_mean(name, names)} (binary: {', '.join(names)})")
            if name not in names:
                known = f"binary tasks are {', '.join(names)}" if names else "this model has none"
                raise UserError(f"a threshold turns the probability of a binary task into 0 or 1; {known}")
            if f"{name}{SUFFIX}" in kinds:
                raise UserError(f"its column {name}{SUFFIX} would have the name of a task")
            rule = parse_rule(text) if isinstance(text, str) else text
            if points is None and not isinstance(rule, At):
                raise UserError(
                    "the run kept no validation rows to choose a threshold on; train with some (data.valid, or valid "
                    "in data.split), or give a threshold (at:0.3). A run that has some, and was stopped or is of an "
                    "earlier version, keeps them once it is ended with `trunkline train --resume`"
                )
            made[name] = decide(name, rule, None if points is None else points.get(name))
    problems.raise_if_any()
    return made


def with_decisions(made: pl.DataFrame, chosen: Mapping[str, Decision]) -> pl.DataFrame:
    """Estimates with a column of zeros and ones behind each task's that has a decision."""
    columns: list[pl.Series] = []
    for series in made:
        columns.append(series)
        if series.name in chosen:
            one = chosen[series.name]
            # held against the threshold in 64 bits: it may lie between two neighbouring numbers of 32
            flags = series.to_numpy().astype(np.float64) >= one.threshold
            columns.append(pl.Series(one.column, flags.astype(np.int8)))
    return pl.DataFrame(columns)


_NONE = OperatingPoints(
    **{name: np.empty(0) for name in ("highest", "lowest", "rows", "positive", "negative")}, ones=0, zeros=0
)


def _check(task: str, rule: Rule, points: OperatingPoints) -> None:
    if isinstance(rule, At):
        return
    rows = int(points.rows.sum())
    if not rows:
        raise UserError("the run's validation part has no rows; give a threshold (at:0.3)")
    if rule.needs_labels and not (points.ones and points.zeros):
        only = f"{points.ones:,} have label 1 and {points.zeros:,} label 0"
        raise UserError(
            f"rows of both labels are needed to choose a threshold, and of the run's {rows:,} validation rows {only} "
            f"(rows without a label, of weight 0 or outside the task's `where` do not count); validate on more rows, "
            "or take rate:SHARE or at:THRESHOLD"
        )
    if len(points.rows) == 1:
        raise UserError(
            f"all {rows:,} validation rows have the same estimate but for rounding, {points.highest[0]:.4g}: no "
            f"threshold tells them apart; train {task} longer or on better features"
        )


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None
