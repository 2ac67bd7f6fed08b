"""Observations: all that a diagnosis has seen of a training and its rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from trunkline.config import Config
from trunkline.insight.diagnosis.measures.dead_units import Layer
from trunkline.insight.diagnosis.measures.repeats import Repeats
from trunkline.insight.diagnosis.rates import rate_of
from trunkline.insight.quality.task_quality import TaskQuality


def dotted(name: str) -> str:
    """A name as a part of a dotted path."""
    return name if re.fullmatch(r"[\w-]+", name) else f'"{name}"'


@final
@dataclass(frozen=True)
class Judged:
    """Numbers of rows of each label that a binary task's AUC rests on.

    Attributes:
        auc: over the validation rows; None where one label is missing.
        positives: rows with label 1.
        negatives: rows with label 0.
    """

    auc: float | None
    positives: int
    negatives: int


@final
@dataclass(frozen=True, kw_only=True)
class Observations:
    """Observations; None where nobody could look.

    Attributes:
        config: the config.
        tasks: the tasks' names.
        pulls: `{subnet: [P, T, T]}` inner products of the tasks' weighted gradients in P steps, for subnets that two
            tasks' gradients reach.
        layers: the ReLU layers.
        gates: as `gate_facts` gives them; None without experts.
        sigma: of each task; None where the objective learns none.
        curves: validation score of each task, higher is better, at several moments of the training.
        judged: the binary tasks.
        alone: `{column: {task: score}}` of each column all by itself on held-out rows.
        unseen: `{column: {part: share}}` of ids that the vocabulary does not have.
        shifts: `{column: {part: index}}`, see `stability_index`.
        constants: columns with one value in all training rows.
        missing: `{column: {part: share}}` of rows without a value, `train` among the parts.
        singles: `{column: share}` of training rows whose value no other row has, of categorical columns.
        repeats: how each later part's rows repeat training rows.
        quality: of each task's estimates on the validation rows, of a training that has ended.
        broken: tasks whose loss was no number, and the step.
    """

    config: Config
    tasks: tuple[str, ...]
    pulls: Mapping[str, Tensor] | None = None
    layers: Sequence[Layer] | None = None
    gates: Mapping[str, Any] | None = None
    sigma: Mapping[str, float] | None = None
    curves: Mapping[str, Sequence[float]] | None = None
    judged: Mapping[str, Judged] | None = None
    alone: Mapping[str, Mapping[str, float]] | None = None
    unseen: Mapping[str, Mapping[str, float]] | None = None
    shifts: Mapping[str, Mapping[str, float]] | None = None
    constants: Sequence[str] | None = None
    missing: Mapping[str, Mapping[str, float]] | None = None
    singles: Mapping[str, float] | None = None
    repeats: Mapping[str, Repeats] | None = None
    quality: Mapping[str, TaskQuality] | None = None
    broken: tuple[tuple[str, ...], int] | None = None

    def rate(self, subnet: str) -> float:
        """The learning rate that the config gives a subnet."""
        return rate_of(self.config, subnet)

    def without(self, *columns: str) -> str:
        """The lines of the config that leave columns out, each as `--set` takes it."""
        if self.config.features == "auto":
            return f"data.ignore: [{', '.join(columns)}]"
        return "\n".join(f"features.{dotted(name)}: null" for name in columns)
