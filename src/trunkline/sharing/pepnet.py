"""PEPNet: personalised gates."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from trunkline.errors import Problems
from trunkline.nn.inputs import FeatureSlice
from trunkline.nn.mlp import Layers, check_widths
from trunkline.sharing.base import Gates, Sharing, check_branches, check_names
from trunkline.sharing.feature_slice import feature_slice
from trunkline.sharing.trunk import trunk_layers


@final
class PEPNet(Sharing):
    """Trunks whose features and units are scaled by whom the row is about (Chang et al. 2023, 2302.01115).

    The prior o is the vectors of a few features, such as user, item or scenario. A gate reads it beside values x,
    through which it sends no gradient back, and scales by U(o, x) = 2·σ(W₂ ReLU(W₁ [o ; x])) ∈ (0, 2):

    - EPNet, shared: x' = U(o, x) ⊙ x.
    - PPNet, task t: hₜˡ = Uₜˡ(o, x') ⊙ fₜˡ(hₜˡ⁻¹) from hₜ⁰ = x', with a trunk of layers fₜˡ of its own. Uₜ reads once
      for all layers.

    Its tower reads hₜᴸ. Gates start close to 1, that is as if there were none. The trunk forks at x' and the prior,
    which balance as one cut.

    NOTE[DIFF]: in the paper EPNet's prior is the domain, PPNet's the user, item and author, and PPNet's gates of all
    tasks are one network; here one prior serves both, and each task has a gate of its own. W₂ starts at a tenth of its
    usual size, without a bias.

    Args:
        in_features: width of the features.
        tasks: names of the T tasks, in order.
        features: the categorical features.
        prior: names of those whose vectors are the prior, at least one.
        hidden: widths of each task's layers.
        gate_hidden: width of each gate's hidden layer.
        layers: what the tasks' layers are made of.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: no task, one that is named twice; no prior, or one that is no categorical feature; no layer, and what
            `MLP` refuses; a fork with another number of branches.

    Examples:
        >>> sharing = PEPNet(5, ["click", "buy"], {"user": FeatureSlice(0, 9, 0, 2)}, prior=["user"], hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    uses_features: ClassVar[tuple[str, ...]] = ("prior",)

    prior: Tensor

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        features: Mapping[str, FeatureSlice],
        *,
        prior: Sequence[str],
        hidden: Sequence[int] = (256, 128),
        gate_hidden: int = 64,
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = check_names(tasks)
        columns = _columns(features, prior)
        # Which columns of x: a buffer, so that it is where x is; known from the features, so no part of the state.
        self.register_buffer("prior", torch.tensor(columns), persistent=False)
        read = len(columns) + in_features
        self.scale = _Gate(read, gate_hidden, in_features)
        self.trunk = nn.ModuleList(trunk_layers(in_features, hidden, layers) for _ in tasks)
        self.gate = nn.ModuleList(_Gate(read, gate_hidden, sum(hidden)) for _ in tasks)
        self.hidden = tuple(hidden)
        self.in_features = in_features
        self.out_features = hidden[-1]

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The scaled features `[N, in_features]` and the prior `[N, P]`."""
        prior = x.index_select(1, self.prior)
        return self.scale(prior, x) * x, prior

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """What each task's trunk makes of its copies `[N, out_features]`."""
        check_branches(len(self.gate), copies)
        outputs = []
        for trunk, gate, (x, prior) in zip(self.trunk, self.gate, copies, strict=True):
            out = x
            for layer, scale in zip(trunk.children(), gate(prior, x).split(self.hidden, dim=1), strict=True):
                out = layer(out) * scale
            outputs.append(out)
        return tuple(outputs)

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The gate of the features is shared; each task owns its trunk and the gate of its units."""
        trunks = {f"trunk.{task}": list(trunk.parameters()) for task, trunk in zip(self.tasks, self.trunk, strict=True)}
        gates = {f"gate.{task}": list(gate.parameters()) for task, gate in zip(self.tasks, self.gate, strict=True)}
        return {"shared": list(self.scale.parameters()), **trunks, **gates}

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """The gate of the features."""
        return list(self.scale.parameters())

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """None: these gates scale units, they mix no experts."""
        return {}


def _columns(features: Mapping[str, FeatureSlice], prior: Sequence[str]) -> list[int]:
    """The columns of x that hold the prior."""
    problems, columns = Problems(), list[int]()
    if not prior:
        problems.add(f"prior: name at least one categorical feature (known: {', '.join(features) or 'none'})")
    if len(set(prior)) < len(prior):
        problems.add(f"prior {', '.join(prior)}: each once")
    for name in prior:
        with problems.collect():
            place = feature_slice(features, name, "prior")
            columns += range(place.start, place.start + place.width)
    problems.raise_if_any()
    return columns


class _Gate(nn.Module):
    """Scales in (0, 2), about 1 at first: the prior `[N, P]` and values `[N, width]` -> `[N, out_features]`."""

    def __init__(self, in_features: int, hidden: int, out_features: int) -> None:
        super().__init__()
        check_widths(in_features, [hidden])
        self.read = nn.Linear(in_features, hidden)
        self.scale = nn.Linear(hidden, out_features)
        with torch.no_grad():
            self.scale.weight.mul_(0.1)
            self.scale.bias.zero_()

    def forward(self, prior: Tensor, values: Tensor) -> Tensor:
        read = torch.cat([prior, values.detach()], dim=1)
        return 2 * torch.sigmoid(self.scale(torch.relu(self.read(read))))
