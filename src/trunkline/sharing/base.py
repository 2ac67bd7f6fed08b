"""The base class of sharing architectures."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from trunkline.errors import UserError

Split = Callable[..., tuple[tuple[Tensor, ...], ...]]
"""A fork's `split`: K tensors in; for each task a copy of all of them out."""
Gates = dict[str, dict[str, Tensor]]
"""`{gate: {expert: [N]}}`: the share of each expert in what a gate lets through, for each row."""


class Sharing(nn.Module, ABC):
    """From the features to what each task's tower reads, in two halves with the fork between them."""

    in_features: int
    """Width of the features it reads."""
    out_features: int
    """Width of what each tower reads."""
    tasks: tuple[str, ...] | None = None
    """Names of the tasks, where they own parameters here."""
    uses_features: ClassVar[tuple[str, ...]] = ()
    """Options that name categorical features whose ids or vectors it reads."""
    separate: bool = False
    """Whether x is T embeddings side by side, one for each task, of which `in_features` is the whole width."""

    @abstractmethod
    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The shared half, to the K tensors at which the trunk forks.

        Args:
            x: features `[N, in_features]`.
            ids: `[N, C]` the ids of the categorical features; most architectures do not look at them.
        """

    @abstractmethod
    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """The tasks' own half: each task's copies of the K tensors to T tensors `[N, out_features]`.

        Task t's tensor depends on its own copies `copies[t]` alone, so that no other task's gradient is taken for its.
        Where a fork balances nothing all copies are the same objects, and what they share may be computed once.
        """

    @abstractmethod
    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """All parameters by subnet: `shared`, and `gate.<task>`, `experts.<task>`, `trunk.<task>` of the tasks' own."""

    @abstractmethod
    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """The parameters that `shared` uses: every task's gradient may reach them, and balancing weighs it."""

    @abstractmethod
    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """How each gate mixes its experts, for features `[N, in_features]`; empty where there are no gates."""

    def forward(self, x: Tensor, split: Split, ids: Tensor | None = None) -> tuple[Tensor, ...]:
        """Both halves: `[N, in_features]`, and ids `[N, C]` for who looks at them, to T `[N, out_features]`."""
        return self.per_task(
            split(*self.shared(x, x.new_empty(x.shape[0], 0, dtype=torch.int64) if ids is None else ids))
        )


def check_names(tasks: Sequence[str]) -> tuple[str, ...]:
    """The tasks' names.

    Raises:
        UserError: no task, or one that is named twice.
    """
    if not tasks or len(set(tasks)) < len(tasks):
        raise UserError(f"tasks {list(tasks)}: at least one, and each once")
    return tuple(tasks)


def check_branches(tasks: int, copies: Sequence[Sequence[Tensor]]) -> None:
    """Refuse a fork that was made for another number of tasks.

    Raises:
        UserError: not one branch for each task.
    """
    if len(copies) != tasks:
        raise UserError(f"{tasks} tasks need {tasks} branches, got {len(copies)}")


def same(copies: Sequence[Sequence[Tensor]]) -> bool:
    """Whether all tasks hold the very same tensors: a fork that balances nothing."""
    return all(tensor is first for copy in copies for tensor, first in zip(copy, copies[0], strict=True))
