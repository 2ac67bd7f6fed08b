"""Quality of one task's estimates on the validation rows, beside a constant and a linear model."""

from dataclasses import dataclass
from typing import final

from trunkline.insight.statistics.intervals import Interval

FEWEST = 20
"""Validation rows below which nothing is said of a task, but that."""


@final
@dataclass(frozen=True, kw_only=True)
class LabelShape:
    """Shape of a task's training labels.

    Attributes:
        rows: observed ones.
        zeros: share that is 0.
        negative: whether any is below 0.
        whole: whether all are whole numbers.
        spread: of the largest over the standard deviation; 0 of a constant.
    """

    rows: int
    zeros: float
    negative: bool
    whole: bool
    spread: float


@final
@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Agreement of estimates with labels in the mean.

    Attributes:
        ratio: sum of the estimates over that of the labels.
        error: its standard error, the estimates taken as given.
        ece: the expected calibration error; None of what is no probability.
        chance: the calibration error that estimates without fault stay below 99 times in 100, on as many rows.
    """

    ratio: float
    error: float
    ece: float | None = None
    chance: float | None = None


@final
@dataclass(frozen=True, kw_only=True)
class TaskQuality:
    """Quality of a task.

    Attributes:
        task: its name.
        kind: its kind.
        headline: the metric of `score`, `linear` and `ahead`.
        rows: observed validation rows that were looked at.
        score: of the headline metric, with its 95 % interval.
        constant: what the same estimate for every row would score.
        base: mean label of these rows, of a binary task.
        r2: share of the labels' variance that the estimates explain; None of classes, and of estimates that are no
            means.
        linear: what a linear model scores; None where there is none.
        ahead: how much more than it the network scores; None where there is none.
        calibration: None of estimates that are no means, and where the labels' sum is 0.
        measure: the metric of `epochs`: a loss, where the task reports one.
        epochs: of each epoch; None where it is not defined.
        error: standard error of that measure, over the rows; None where it is not defined.
        better: whether a larger measure is better.
        constant_measure: what the best constant of the training rows has.
        headlines: the headline metric of each epoch.
        losses: mean training loss of each epoch; None where no line of the history tells.
        selected: number of the epoch that was kept, from 0.
        label: of the training rows.
        test: as `score`, of the test rows, by which nothing is chosen; None where there are none.
    """

    task: str
    kind: str
    headline: str
    rows: int
    score: Interval | None
    constant: float
    base: float | None
    r2: Interval | None
    linear: float | None
    ahead: Interval | None
    calibration: Calibration | None
    measure: str
    epochs: tuple[float | None, ...]
    error: float | None
    better: bool
    constant_measure: float | None
    headlines: tuple[float | None, ...]
    losses: tuple[float | None, ...]
    selected: int | None
    label: LabelShape
    test: Interval | None = None

    @property
    def few(self) -> bool:
        """Whether the validation rows are too few to say anything."""
        return self.rows < FEWEST

    @property
    def metric(self) -> str:
        """The headline metric in words."""
        return self.headline.replace("_", " ")
