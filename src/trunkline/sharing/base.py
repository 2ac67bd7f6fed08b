"""The contract of a sharing architecture: what the tasks have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

Split = Callable[[Tensor], tuple[Tensor, ...]]
"""A fork: one tensor in, one copy for each task out."""


class Sharing(nn.Module, ABC):
    """From the features to what each task's tower reads, with the fork between the shared and the owned part."""

    in_features: int
    """Width of the features it reads."""
    out_features: int
    """Width of what each tower reads."""

    @abstractmethod
    def forward(self, x: Tensor, fork: Split) -> tuple[Tensor, ...]:
        """`[N, d_in]` -> T tensors `[N, out_features]`; everything shared lies before `fork`."""

    @abstractmethod
    def owners(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """All parameters by subnet: `shared`, and `gate.<task>` for what a task owns."""
