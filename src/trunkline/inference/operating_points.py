"""Operating points: what each threshold on a binary task's estimate does on the validation rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunkline.errors import UserError
from trunkline.runs.tensors import MOST_HEADER, read_tensors, write_tensors
from trunkline.tasks import Binary, Task

MOST = 1 << 16
"""Groups of estimates that are kept of a task: a threshold is then exact to so many parts of the rows."""
TIED = 2e-6
"""Of itself that an estimate may differ by between batches of other shapes: nearer ones are one estimate."""
WIDE = 1e-5
"""Of itself: estimates that are one by their neighbours, and differ by more, just lie dense."""
FIELDS = ("highest", "lowest", "rows", "positive", "negative")

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True)
class OperatingPoints:
    """Validation rows in groups of one estimate, or of neighbouring ones where there are very many, highest first.

    Cut i flags the first i groups, i from 0 to the number of groups.

    Attributes:
        highest: `[G]` the greatest estimate of each group, falling.
        lowest: `[G]` the least.
        rows: `[G]` all rows of each, with a label or without.
        positive: `[G]` weight of the rows whose label is 1.
        negative: `[G]` likewise 0.
        ones: how many rows have label 1.
        zeros: likewise 0.

    Raises:
        UserError: arrays of different lengths, or that no rows give.
    """

    highest: Floats
    lowest: Floats
    rows: Floats
    positive: Floats
    negative: Floats
    ones: int
    zeros: int

    def __post_init__(self) -> None:
        every = [getattr(self, name) for name in FIELDS]
        if any(one.ndim != 1 or len(one) != len(self.rows) or not np.isfinite(one).all() for one in every):
            raise UserError("operating points must be finite, and as many of each")
        inside = len(self.rows) == 0 or (self.lowest[-1] >= 0 and self.highest[0] <= 1)
        falling = (self.highest >= self.lowest).all() and (self.lowest[:-1] > self.highest[1:]).all()
        counts = (self.rows >= 1).all() and all((one >= 0).all() for one in every[3:])
        weighed = ((self.ones, self.positive), (self.zeros, self.negative))
        counts = counts and all(count >= 0 and (count > 0) == (weights.sum() > 0) for count, weights in weighed)
        if not (inside and falling and counts):
            raise UserError("operating points must be probabilities that fall from group to group, and counts of rows")

    @classmethod
    def of(cls, estimate: Tensor, label: Tensor, weight: Tensor | None = None) -> "OperatingPoints":
        """The points of validation rows.

        Args:
            estimate: `[N]` probabilities of 1, as predictions give them.
            label: `[N]`, NaN where not observed.
            weight: `[N]`, if the task has row weights; rows of weight 0 count as not observed.
        """
        known, found = label.numpy(), estimate.numpy().astype(np.float64)
        heavy = np.ones(len(known)) if weight is None else weight.numpy().astype(np.float64)
        order = np.argsort(-found, kind="stable")
        found, known, heavy = found[order], known[order], heavy[order]
        ones, zeros = (known == 1) & (heavy > 0), (known == 0) & (heavy > 0)
        starts = _starts(found)
        if not len(starts):
            empty = np.empty(0)
            return cls(highest=empty, lowest=empty, rows=empty, positive=empty, negative=empty, ones=0, zeros=0)
        ends = np.append(starts[1:], len(found))
        return cls(
            highest=found[starts],
            lowest=found[ends - 1],
            rows=(ends - starts).astype(np.float64),
            positive=np.add.reduceat(np.where(ones, heavy, 0.0), starts),
            negative=np.add.reduceat(np.where(zeros, heavy, 0.0), starts),
            ones=int(ones.sum()),
            zeros=int(zeros.sum()),
        )

    def threshold(self, cut: int) -> float:
        """Half way between the estimates on both sides of a cut; 1 and 0 stand beyond the first and the last."""
        if cut == 0:
            return (self.highest[0] + 1) / 2 if self.highest[0] < 1 else float(np.nextafter(1, 2))
        below = self.highest[cut] if cut < len(self.rows) else 0.0
        return float((self.lowest[cut - 1] + below) / 2)

    def cut(self, threshold: float) -> int:
        """The cut of a threshold: the groups that lie, or mostly lie, at or above it."""
        return int(((self.highest + self.lowest) / 2 >= threshold).sum())

    @property
    def flagged(self) -> Floats:
        """`[G + 1]` rows that each cut flags."""
        return _up_to(self.rows)

    @property
    def true_positive(self) -> Floats:
        """`[G + 1]` weight of the rows that each cut flags rightly."""
        return _up_to(self.positive)

    @property
    def false_positive(self) -> Floats:
        """`[G + 1]` weight of the rows that each cut flags wrongly."""
        return _up_to(self.negative)


def measure_points(
    tasks: Sequence[Task], made: Mapping[str, Tensor], labels: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> dict[str, OperatingPoints]:
    """The points of every binary task.

    Args:
        tasks: the tasks.
        made: `{task: [N, outputs]}` raw outputs from which estimates are made, joint and calibrated.
        labels: `{task: [N]}`, in each task's sample space.
        weights: `{task: [N]}` of the tasks that have them.
    """
    # in 64 bits and rounded, as a prediction writes them
    return {
        task.name: OperatingPoints.of(
            task.estimate(made[task.name].double()).float(), labels[task.name], weights.get(task.name)
        )
        for task in tasks
        if isinstance(task, Binary)
    }


def write_points(path: Path, points: Mapping[str, OperatingPoints]) -> None:
    """Write them into one file, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    tensors = {
        f"{task}.{name}": torch.from_numpy(getattr(one, name)) for task, one in points.items() for name in FIELDS
    }
    write_tensors(path, tensors, {task: {"ones": one.ones, "zeros": one.zeros} for task, one in points.items()})


def read_points(path: Path, tasks: Sequence[Task]) -> dict[str, OperatingPoints]:
    """What `write_points` wrote, for the same tasks.

    Raises:
        UserError: the file is missing, damaged, or of other tasks.
    """
    names = [task.name for task in tasks if isinstance(task, Binary)]
    most = 8 * MOST * len(FIELDS) * len(names) + MOST_HEADER
    if path.is_file() and path.stat().st_size > most:
        raise UserError(f"{path} cannot be read: it has more than {most:,} bytes, which no such file needs")
    tensors, facts = read_tensors(path)
    points: dict[str, OperatingPoints] = {}
    if list(facts) != names:
        raise UserError(f"{path} cannot be read: it is of other tasks than {', '.join(names) or 'none'}")
    try:
        for task, counts in facts.items():
            arrays = {name: tensors[f"{task}.{name}"] for name in FIELDS}
            if any(one.dtype != torch.float64 for one in arrays.values()) or not all(
                type(counts[name]) is int for name in ("ones", "zeros")
            ):
                raise TypeError(f"{task}: numbers of other types")
            plain = {name: one.numpy() for name, one in arrays.items()}
            points[task] = OperatingPoints(**plain, ones=counts["ones"], zeros=counts["zeros"])
    except (UserError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    return points


def _starts(falling: Floats) -> NDArray[np.int64]:
    """Where groups begin: at every other value but for rounding, and of very many at evenly spread rows among these."""
    if not len(falling):
        return np.empty(0, dtype=np.int64)
    new = np.flatnonzero(np.concatenate([[True], falling[1:] != falling[:-1]]))
    values = falling[new]
    apart = np.concatenate([[True], values[:-1] - values[1:] > TIED * values[:-1]])
    firsts = np.flatnonzero(apart)
    lasts = np.append(firsts[1:], len(values)) - 1
    dense = values[firsts] - values[lasts] > WIDE * values[firsts]
    new = new[apart | dense[apart.cumsum() - 1]]
    if len(new) > MOST:
        of_row = new * MOST // len(falling)
        new = new[np.concatenate([[True], of_row[1:] != of_row[:-1]])]
    return np.asarray(new)


def _up_to(values: Floats) -> Floats:
    return np.concatenate([[0.0], values.cumsum()])
