"""Random generators of torch: their state, and work that leaves no trace in them."""

from typing import Any, Self, final

import torch
from torch import Tensor


@final
class isolated_random:  # used as a verb: `with isolated_random(seed):`
    """Inside, torch's generators start from a seed; outside, they never notice.

    Args:
        seed: what they start from; None leaves them as they are inside.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed

    def __enter__(self) -> Self:
        self._before = random_state()
        if self.seed is not None:
            torch.manual_seed(self.seed)
        return self

    def __exit__(self, *_: Any) -> None:
        set_random_state(self._before)


def random_state() -> dict[str, Tensor]:
    """The state of torch's generators, by device."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Tensor]) -> None:
    """Put back what `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
