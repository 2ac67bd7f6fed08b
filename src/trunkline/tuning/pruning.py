"""Pruning: when a trial is not worth its remaining epochs."""

from collections.abc import Mapping, Sequence
from statistics import median

ENOUGH = 5
"""Trials that have to be there to be compared with."""

Epochs = Mapping[str, Sequence[float]]
"""By epoch (as JSON has it), each objective at the best epoch so far, higher is better."""


def behind(epochs: Epochs, others: Sequence[Epochs], epoch: int) -> bool:
    """Whether a trial is below the median of the others at this epoch in every objective.

    With one objective this is the median rule of Golovin et al. 2017 (Vizier, section 3.2.2), as Optuna has it. With
    several, a trial that is good for any of them is kept: it may end on the front.

    Args:
        epochs: of the trial.
        others: of trials that came to a good end; those that ended before this epoch count with their last one.
        epoch: that was done last.
    """
    if len(others) < ENOUGH:
        return False
    mine = epochs[str(epoch)]
    reached = [one[str(min(epoch, max(map(int, one))))] for one in others if one]
    return bool(reached) and all(
        value < median(column) for value, column in zip(mine, zip(*reached, strict=True), strict=True)
    )
