"""Multi-gate mixture of experts."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.mlp import Norm
from trunkline.sharing.base import Sharing
from trunkline.sharing.experts import Experts

EXPERTS, HIDDEN = 8, (256, 128)
"""How many experts there are, and the widths of each one's layers, unless told otherwise."""


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
        dropout: as in `MLP`, in the experts.
        norm: as in `MLP`, in the experts.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: no task, one that is named twice, and what `Experts` refuses; a fork with another number of branches.

    Example:
        >>> sharing = MMoE(5, ["click", "buy"], experts=4, hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        experts: int = EXPERTS,
        hidden: Sequence[int] = HIDDEN,
        dropout: float = 0.0,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        if not tasks or len(set(tasks)) < len(tasks):
            raise UserError(f"tasks {list(tasks)}: at least one, and each once")
        self.tasks: tuple[str, ...] = tuple(tasks)
        self.experts = Experts(in_features, hidden, experts, dropout=dropout, norm=norm)
        self.gate = nn.ModuleList(nn.Linear(in_features, experts, bias=False) for _ in tasks)
        self.in_features = in_features
        self.out_features = self.experts.out_features

    def cut(self, x: Tensor) -> tuple[Tensor, ...]:
        """The features `[N, in_features]` and the experts' outputs `[N, E, out_features]`."""
        return x, self.experts(x)

    def own(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's mixture of its copies `[N, out_features]`."""
        if len(copies) != len(self.tasks):
            raise UserError(f"{len(self.tasks)} gates need {len(self.tasks)} branches, got {len(copies)}")
        x, outputs = copies[0]
        if all(copy[0] is x and copy[1] is outputs for copy in copies):
            # A fork that balances nothing: all tasks in one product.
            return torch.bmm(self.gates(x).transpose(0, 1), outputs).unbind(1)
        mixed = []
        for gate, (x, outputs) in zip(self.gate, copies, strict=True):
            mixed.append(torch.bmm(F.softmax(gate(x), dim=1)[:, None], outputs).squeeze(1))
        return tuple(mixed)

    def gates(self, x: Tensor) -> Tensor:
        """How each task mixes the experts: features `[N, in_features]` -> `[T, N, E]`, each row summing to 1."""
        stacked = torch.cat([gate.get_parameter("weight") for gate in self.gate])
        return F.linear(x, stacked).view(len(x), len(self.tasks), -1).softmax(dim=2).transpose(0, 1)

    def owners(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The experts are shared; each task owns its gate."""
        gates = {f"gate.{task}": list(gate.parameters()) for task, gate in zip(self.tasks, self.gate, strict=True)}
        return {"shared": list(self.experts.parameters()), **gates}
