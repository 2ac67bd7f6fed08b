"""Overfitting of a task: what its validation rows have lost since their best epoch."""

from dataclasses import dataclass
from typing import final

from trunkline.insight.quality.task_quality import TaskQuality

LOST = 0.1
"""Share of its gain over a constant that a task has lost, if it overfits."""


@final
@dataclass(frozen=True)
class PastBest:
    """What a task has lost.

    Attributes:
        epoch: its best one, from 1.
        best: the measure there.
        last: the measure after the last epoch.
        share: of what it had gained over the best constant by then.
        trained: mean training loss of the best and of the last epoch; None where the history does not tell.
    """

    epoch: int
    best: float
    last: float
    share: float
    trained: tuple[float, float] | None


def past_best(quality: TaskQuality) -> PastBest | None:
    """What it has lost; None where that is less than `LOST` of its gain or than chance may do, or it never gained."""
    known = [(i, value) for i, value in enumerate(quality.epochs) if value is not None]
    if len(known) < 2 or quality.constant_measure is None or quality.error is None or quality.few:
        return None
    sign = 1 if quality.better else -1
    place, best = max(known, key=lambda one: sign * one[1])
    last = known[-1][1]
    gain = sign * (best - quality.constant_measure)
    if gain <= 0:
        return None
    share = sign * (best - last) / gain
    if quality.score is None or share < LOST or sign * (best - last) < quality.error:
        return None
    losses = quality.losses[place], quality.losses[known[-1][0]]
    trained = None if losses[0] is None or losses[1] is None else (losses[0], losses[1])
    if trained is not None and trained[1] > trained[0]:
        return None  # it does not learn the training rows either: that is a rate too high, or chance
    return PastBest(epoch=place + 1, best=best, last=last, share=share, trained=trained)
