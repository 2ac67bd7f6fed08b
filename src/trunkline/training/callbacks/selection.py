"""Selection and early stopping: the best epoch on the validation rows, and how long to wait for a better one."""

from collections.abc import Callable
from typing import final

from trunkline.callbacks.base import Callback, Line, Training
from trunkline.metrics import Scores


@final
class Selection(Callback):
    """Keeps the network of the best epoch so far, every epoch's where there is no validation.

    Args:
        select: from validation scores to one number, higher is better.
        keep: called with the scores of an epoch that is the best so far.
        patience: epochs without a better score before the training ends; None for never.
    """

    def __init__(
        self,
        select: Callable[[Scores], float | None],
        keep: Callable[[Scores | None], None],
        *,
        patience: int | None = None,
    ) -> None:
        self.select, self.keep, self.patience = select, keep, patience

    def on_start(self, loop: Training) -> None:
        """Stop at once where an earlier start has run out of patience."""
        self._end(loop)

    def on_epoch(self, loop: Training, line: Line) -> None:
        """Add `score` and `best` to the line; keep the network, or wait."""
        p, scores = loop.state.progress, line["valid"]
        value = self.select(scores) if scores else None
        better = p.best_score is None or (value is not None and value > p.best_score)
        if better:
            p.best_score, p.best_epoch, p.waited = value, p.epoch, 0
            self.keep(scores)
        else:
            p.waited += 1
        line |= {"score": value, "best": better}
        self._end(loop)

    def _end(self, loop: Training) -> None:
        if self.patience is not None and loop.state.progress.waited >= self.patience:
            loop.stop()
