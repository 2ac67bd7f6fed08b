"""The contract of a sharing architecture: what the tasks have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

Split = Callable[..., tuple[tuple[Tensor, ...], ...]]
"""A fork's `split`: K tensors in; for each task a copy of all of them out."""


class Sharing(nn.Module, ABC):
    """From the features to what each task's tower reads, in two halves with the fork between them."""

    in_features: int
    """Width of the features it reads."""
    out_features: int
    """Width of what each tower reads."""
    tasks: tuple[str, ...] | None = None
    """Names of the tasks, where they own parameters here."""

    @abstractmethod
    def cut(self, x: Tensor) -> tuple[Tensor, ...]:
        """The shared half: features `[N, in_features]` to the K tensors at which the trunk forks."""

    @abstractmethod
    def own(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """The tasks' own half: each task's copies of the K tensors to T tensors `[N, out_features]`."""

    @abstractmethod
    def owners(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """All parameters by subnet: `shared`, and `gate.<task>` for what a task owns."""

    def forward(self, x: Tensor, split: Split) -> tuple[Tensor, ...]:
        """Both halves: `[N, in_features]` to T tensors `[N, out_features]`."""
        return self.own(split(*self.cut(x)))
