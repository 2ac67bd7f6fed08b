"""The base class of callbacks."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import nn

Line = dict[str, Any]
"""A line of the history."""


class Training(Protocol):
    """The loop, as a callback sees it; there is more to it, which may change.

    Attributes:
        network: being trained, on `device`.
        objective: merges the losses.
        state: `state.progress` has the counters (`epoch`, `batch`, `step`, `rows`, `best_score` …), `state.optimizers`
            the optimisers.
        epochs: at most so many.
        device: where to compute.
    """

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    @property
    def objective(self) -> nn.Module:
        """What merges the losses."""

    @property
    def state(self) -> Any:
        """Counters and optimisers."""

    @property
    def epochs(self) -> int:
        """At most so many."""

    @property
    def device(self) -> torch.device:
        """Where to compute."""

    def stop(self) -> None:
        """End the training after the epoch under way, or before the first step."""

    def want_checkpoint(self) -> None:
        """Have the state kept after the step under way."""


class Callback:
    """Base of callbacks; each hook does nothing unless it is defined.

    Hooks run between two whole steps, in the order in which callbacks were given, trunkline's own first. They may look
    at everything in the loop; `loop.stop()` ends the training after the epoch under way, as patience does.
    """

    def on_start(self, loop: Training) -> None:
        """Before the first step, of a resumed training too."""

    def on_step(self, loop: Training) -> None:
        """After every step."""

    def on_line(self, loop: Training, line: Line) -> None:
        """A line of the history: every `log_every` steps, at an epoch's last one, and of an epoch (with `valid`)."""

    def on_epoch(self, loop: Training, line: Line) -> None:
        """After every epoch, once the validation rows are scored; `line` is the one that is about to be told."""

    def on_checkpoint(self, loop: Training) -> None:
        """When the state is whole and sound: it is kept here, or has just been."""

    def on_end(self, loop: Training) -> None:
        """After the last epoch; not after an interrupt or an error."""

    def state_dict(self) -> Mapping[str, Any]:
        """What a resumed training needs of it, as JSON can hold it; kept in every checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave, before `on_start`.

        Raises:
            ValueError: it gave no such thing.
        """
