"""Label statistics of the observed training rows of a task."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """Moments of a task's observed training labels, from which the task takes its units.

    Attributes:
        rows: how many there are.
        mean: of the labels.
        std: of the labels, population; 0 where no more than rounding sets them apart.
        log_mean: mean of log y over the labels above 0; 0 where there is none.
        log_std: standard deviation of log y over the labels above 0; 0 where they do not differ.
        levels: the distinct values in order, of a kind whose labels are levels; empty otherwise.
    """

    rows: int
    mean: float
    std: float
    log_mean: float = 0.0
    log_std: float = 0.0
    levels: tuple[str | int | float | bool, ...] = ()
