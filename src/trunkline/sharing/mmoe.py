"""MMoE: multi-gate mixture of experts."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.nn.mlp import Layers
from trunkline.sharing.base import Gates, Sharing, check_branches, check_names, same
from trunkline.sharing.experts import Experts
from trunkline.sharing.gating import SHARED, SoftmaxGate, by_name, expert_names, learning, mix


@final
class MMoE(Sharing):
    """Experts that all tasks share, mixed for each task by a gate of its own (Ma et al. 2018, KDD).

    Task t reads Σₑ gₜₑ(x)·fₑ(x), where the fₑ are perceptrons of one shape and gₜ(x) = softmax(Wₜ x), without a bias
    (Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts).

    The trunk forks at the features and the experts' outputs, which balance as one cut: experts take the tasks'
    weighted gradients, gates their own task's, and what the gates send back into the features is weighted as well.

    Args:
        in_features: width of the features.
        tasks: names of the T tasks, in order.
        experts: E, how many experts there are.
        hidden: widths of each expert's layers.
        layers: what the experts are made of.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: no task, one that is named twice, and what `Experts` refuses; a fork with another number of branches.

    Examples:
        >>> sharing = MMoE(5, ["click", "buy"], experts=4, hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        experts: int = 8,
        hidden: Sequence[int] = (256, 128),
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = check_names(tasks)
        self.experts = Experts(in_features, hidden, experts, layers=layers)
        self.gate = nn.ModuleList(SoftmaxGate(in_features, experts) for _ in tasks)
        self.in_features = in_features
        self.out_features = self.experts.out_features

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The features `[N, in_features]` and the experts' outputs `[N, E, out_features]`."""
        return x, self.experts(x)

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's mixture of its copies `[N, out_features]`."""
        check_branches(len(self.tasks), copies)
        if same(copies):
            x, outputs = copies[0]
            # A fork that balances nothing: all tasks in one product.
            return torch.bmm(self._shares(x).transpose(0, 1), outputs).unbind(1)
        return tuple(mix(gate(x), outputs) for gate, (x, outputs) in zip(self.gate, copies, strict=True))

    def _shares(self, x: Tensor) -> Tensor:
        """How each task mixes the experts: features `[N, in_features]` -> `[T, N, E]`, each row summing to 1."""
        if self.experts.count == 1:
            return x.new_ones(len(self.tasks), x.shape[0], 1)
        stacked = torch.cat([gate.get_parameter("weight") for gate in self.gate])
        return F.linear(x, stacked).view(x.shape[0], len(self.tasks), -1).softmax(dim=2).transpose(0, 1)

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The experts are shared; each task owns its gate."""
        gates = {f"gate.{task}": list(gate.parameters()) for task, gate in zip(self.tasks, self.gate, strict=True)}
        return learning({SHARED: list(self.experts.parameters()), **gates})

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """The experts'."""
        return list(self.experts.parameters())

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """Each task's shares of the shared experts."""
        names = expert_names(SHARED, self.experts.count)
        return {
            f"gate.{task}": by_name(names, shares) for task, shares in zip(self.tasks, self._shares(x), strict=True)
        }
