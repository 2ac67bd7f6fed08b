"""CGC: customised gate control."""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor, nn

from trunkline.nn.mlp import Layers
from trunkline.sharing.base import Gates, Sharing, check_branches, check_names
from trunkline.sharing.extraction import Extraction, check_counts, specific_counts
from trunkline.sharing.gating import learning


@final
class CGC(Sharing):
    """Shared experts beside each task's own, mixed for each task by a gate of its own (Tang et al. 2020, RecSys).

    Task t reads Σₑ gₜₑ(x)·fₑ(x) over the shared experts and its own ones, gₜ(x) = softmax(Wₜ x) without a bias
    (Progressive Layered Extraction: A Novel Multi-Task Learning Model for Personalized Recommendations, equations 1-3).
    No task's gradient reaches another's experts.

    The trunk forks at the features and the shared experts' outputs, which balance as one cut: shared experts take the
    tasks' weighted gradients, a task's experts and gate their own task's.

    Args:
        in_features: width of the features.
        tasks: names of the T tasks, in order.
        shared: how many experts all tasks read; 0 for none.
        specific: how many experts each task has of its own: one number for all, or by task; 0 for none.
        hidden: widths of each expert's layers.
        layers: what the experts are made of.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: no task, or one that is named twice; a task without an expert to read, or of which `specific` says
            nothing; what `Experts` refuses; a fork with another number of branches.

    Examples:
        >>> sharing = CGC(5, ["click", "buy"], shared=2, specific={"click": 1, "buy": 3}, hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        shared: int = 4,
        specific: int | Mapping[str, int] = 4,
        hidden: Sequence[int] = (256, 128),
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = check_names(tasks)
        own = specific_counts(tasks, specific)
        check_counts(tasks, shared, own)
        self.level = Extraction(in_features, tasks, shared=shared, specific=own, hidden=hidden, layers=layers)
        self.in_features = in_features
        self.out_features = self.level.out_features

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The features `[N, in_features]` and, if there are any, the shared experts' outputs `[N, E, out_features]`."""
        return (x,) if self.level.shared is None else (x, self.level.shared(x))

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's mixture of its copies and of its own experts' outputs `[N, out_features]`."""
        check_branches(len(self.tasks), copies)
        return tuple(
            self.level.mixture(t, x, [*outputs, *self.level.outputs(t, x)]) for t, (x, *outputs) in enumerate(copies)
        )

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The shared experts; each task's own experts, and its gate."""
        return learning(self.level.parameters_by_subnet())

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """The shared experts'."""
        return [] if self.level.shared is None else list(self.level.shared.parameters())

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """Each task's shares of the shared experts and its own."""
        return self.level.shares([x] * len(self.tasks))
