"""OMoE: one-gate mixture of experts."""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor, nn

from trunkline.nn.mlp import Layers
from trunkline.sharing.base import Gates, Sharing
from trunkline.sharing.experts import Experts
from trunkline.sharing.gating import SHARED, SoftmaxGate, by_name, expert_names, learning, mix


@final
class OMoE(Sharing):
    """Experts mixed by one gate for all tasks (Ma et al. 2018, KDD; Jacobs et al. 1991).

    Every task reads Σₑ gₑ(x)·fₑ(x), where the fₑ are perceptrons of one shape and g(x) = softmax(W x), without a bias:
    what MMoE is measured against (Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts, equation 5). The trunk forks at the mixture: the gate is shared as the experts are.

    Args:
        in_features: width of the features.
        experts: E, how many experts there are.
        hidden: widths of each expert's layers.
        layers: what the experts are made of.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: what `Experts` refuses.

    Examples:
        >>> sharing = OMoE(5, experts=4, hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    def __init__(
        self,
        in_features: int,
        *,
        experts: int = 8,
        hidden: Sequence[int] = (256, 128),
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.experts = Experts(in_features, hidden, experts, layers=layers)
        self.gate = SoftmaxGate(in_features, experts)
        self.in_features = in_features
        self.out_features = self.experts.out_features

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The mixture `[N, out_features]`."""
        return (mix(self.gate(x), self.experts(x)),)

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's copy as it is."""
        return tuple(copy for (copy,) in copies)

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Everything is shared."""
        return learning({SHARED: list(self.parameters())})

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """Everything."""
        return list(self.parameters())

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """The one gate's shares."""
        return {SHARED: by_name(expert_names(SHARED, self.experts.count), self.gate(x))}
