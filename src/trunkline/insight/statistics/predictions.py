"""Predictions of a run on the test rows, as the headline metric of each task reads them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from trunkline.metrics.scored import Scored
from trunkline.runs.tensors import read_tensors, write_tensors
from trunkline.tasks import Task

PREDICTIONS = "test.safetensors"
"""The file of a finished run, written last: where it lies, nothing is left to do."""
_RAW, _VALUE = "raw", "value"


@final
class Judged:
    """The observed rows of one task.

    Args:
        task: the task, with its label units.
        label: `[N]` of all rows.
        weight: `[N]`, if the task has row weights.

    Attributes:
        rows: `[n]` positions of the rows that count.
        target: `[n]` what the metric holds the estimates against.
    """

    def __init__(self, task: Task, label: Tensor, weight: Tensor | None = None) -> None:
        observed = ~label.isnan() if weight is None else ~label.isnan() & (weight > 0)
        self.task = task
        self._observed, self._label = observed, label[observed].double()
        self.rows: NDArray[np.intp] = observed.nonzero()[:, 0].numpy()
        unread = torch.zeros(len(self._label), task.outputs, dtype=torch.float64)
        self.target: NDArray[np.float64] = Scored(task, unread, self._label).target.numpy()

    def value(self, raw: Tensor) -> NDArray[np.float64]:
        """What the headline metric reads of raw outputs `[N, outputs]`: `[n]` or `[n, classes]`."""
        scored = Scored(self.task, raw[self._observed].double(), self._label)
        match self.task.headline:
            case "auc":
                return scored.raw[:, 0].numpy()  # logits order rows whose probabilities round to the same number
            case "macro_auc":
                return scored.probabilities.numpy()
            case _:
                return scored.estimate.numpy()

    def read(self, tensors: Mapping[str, Tensor]) -> NDArray[np.float64]:
        """`value` of what `write_predictions` or `write_values` wrote."""
        if (raw := tensors.get(f"{_RAW}.{self.task.name}")) is not None:
            return self.value(raw)
        return tensors[f"{_VALUE}.{self.task.name}"][self._observed].double().numpy()


def write_raws(path: Path, raws: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Keep a network's final raw outputs `{task: [N, outputs]}`."""
    write_tensors(path, {f"{_RAW}.{name}": raw.float() for name, raw in raws.items()}, facts)


def write_values(path: Path, values: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Keep what headline metrics read `{task: [N] or [N, classes]}`, of something that has no raw outputs."""
    write_tensors(path, {f"{_VALUE}.{name}": value for name, value in values.items()}, facts)


def read_predictions(folder: Path) -> dict[str, Tensor]:
    """What a finished run wrote.

    Raises:
        UserError: it is not there, or damaged.
    """
    return read_tensors(folder / PREDICTIONS)[0]


def read_facts(folder: Path) -> dict[str, Any]:
    """What it wrote beside, without reading the rest."""
    with safe_open(folder / PREDICTIONS, framework="pt") as file:
        facts: dict[str, Any] = json.loads(file.metadata()["trunkline"])
    return facts
