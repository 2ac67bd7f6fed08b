"""DSelect-k: a mixture of at most k experts, whose choice is learnt by gradient descent."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.errors import Problems
from trunkline.nn.mlp import Layers
from trunkline.sharing.base import Gates, Sharing, check_branches, check_names
from trunkline.sharing.experts import Experts
from trunkline.sharing.gating import SHARED, by_name, expert_names, learning, mix

SMALL = 1e-6
"""Added within the entropy's logarithm, as the authors' code does."""
LEAST = 1e-2
"""What a selector gives to experts: below this, the force that keeps it from vanishing grows no further."""


@final
class DSelectK(Sharing):
    """Experts of which each task's gate learns to keep at most k (Hazimeh et al. 2021, arXiv:2106.03760).

    Task t reads Σₑ qₜₑ·fₑ(x), q = Σᵢ softmax(α)ᵢ·r(z⁽ⁱ⁾) with k selectors i. A selector is a choice of one expert in
    binary, loosened: of its ⌈log₂E⌉ numbers z each becomes S(z), the smooth step from 0 at -γ/2 to 1 at γ/2
    (-2z³/γ³ + 3z/(2γ) + ½ between), and r(z)ₑ = Πⱼ S(zⱼ) or 1 - S(zⱼ), as bit j of e is 1 or 0. Once every z has left
    the step, at most k shares are not exactly 0. α and z are parameters of the task, or, per example, linear in x.

    In training mode each task's gradient is that of its loss and of what the paper adds to it: `entropy` times the
    selectors' entropies -Σₑ r log r; and, where E is no power of 2 so that some codes mean no expert, Σᵢ 1/Σₑ r(z⁽ⁱ⁾)ₑ,
    which keeps selectors on codes that do. These terms are added in the backward pass alone, for the rows that a
    task's loss reaches (their mean per example): no logged loss holds them, no objective weighs them, and a loss scale
    or a division by accumulated steps does not apply to them.

    NOTE[DIFF]: the authors' code sums both terms over the rows of a batch, beside a loss that is a mean; and it draws
    the weights of per-example z from ±γ/100 however wide x is, so that wide features start outside the step, where
    there is no gradient.

    The trunk forks at the experts' outputs, and per example at the features too, as in `MMoE`.

    Args:
        in_features: width of the features.
        tasks: names of the T tasks, in order.
        experts: E, how many experts there are; a power of 2 leaves no code without an expert.
        k: how many of them a task keeps at most.
        gamma: γ > 0, how wide the smooth step is.
        per_example: whether the choice depends on the features, or is one for all rows.
        entropy: weight of the selectors' entropies, >= 0; more makes them choose sooner, and with less to go by. With 0
            they may stay between experts for good, and all experts have a share.
        hidden: widths of each expert's layers.
        layers: what the experts are made of.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: no task, or one that is named twice; k outside 1 … E; a γ or entropy out of range; what `Experts`
            refuses; a fork with another number of branches.

    Examples:
        >>> sharing = DSelectK(5, ["click", "buy"], experts=4, k=2, hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        experts: int = 8,
        k: int = 2,
        gamma: float = 1.0,
        per_example: bool = False,
        entropy: float = 0.01,
        hidden: Sequence[int] = (256, 128),
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = check_names(tasks)
        self.experts = Experts(in_features, hidden, experts, layers=layers)
        problems = Problems()
        if not 1 <= k <= experts:
            problems.add(f"k {k}: it must be in 1 … {experts}, the number of experts")
        if not 0 < gamma < math.inf:
            problems.add(f"gamma {gamma}: it must be above 0")
        if not 0 <= entropy < math.inf:
            problems.add(f"entropy {entropy}: it must be 0 or above")
        problems.raise_if_any()
        self.gate = nn.ModuleList(
            _Gate(experts, k, gamma, in_features=in_features if per_example else None) for _ in tasks
        )
        self.per_example = per_example
        self.entropy = float(entropy)
        self.in_features = in_features
        self.out_features = self.experts.out_features

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The experts' outputs `[N, E, out_features]`, after the features `[N, in_features]` if gates read them."""
        return (x, self.experts(x)) if self.per_example else (self.experts(x),)

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's mixture of its copies `[N, out_features]`."""
        check_branches(len(self.tasks), copies)
        return tuple(self._mixture(gate, *copy) for gate, copy in zip(self.gate, copies, strict=True))

    def _mixture(self, gate: nn.Module, *copy: Tensor) -> Tensor:
        outputs = copy[-1]
        chosen, weights = gate(copy[0])
        shares = (weights[:, :, None] * chosen).sum(1).to(outputs.dtype)
        mixed = mix(shares.expand(outputs.shape[0], -1), outputs)
        missing = self.experts.count & (self.experts.count - 1) != 0
        if not self.training or self.experts.count == 1 or not (self.entropy or missing):
            return mixed
        regularised: Tensor = _Regularised.apply(mixed, chosen, self.entropy, missing)  # type: ignore[no-untyped-call]
        return regularised

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The experts are shared; each task owns its gate."""
        gates = {f"gate.{task}": list(gate.parameters()) for task, gate in zip(self.tasks, self.gate, strict=True)}
        return learning({SHARED: list(self.experts.parameters()), **gates})

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """The experts'."""
        return list(self.experts.parameters())

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """Each task's shares of what its selectors give to experts: exactly 0 for one that is not chosen."""
        names = expert_names(SHARED, self.experts.count)
        gates = {}
        for task, gate in zip(self.tasks, self.gate, strict=True):
            chosen, weights = gate(x)
            shares = (weights[:, :, None] * chosen).sum(1)
            total = shares.sum(1, keepdim=True)
            gates[f"gate.{task}"] = by_name(names, (shares / torch.where(total > 0, total, 1)).expand(x.shape[0], -1))
        return gates


@final
class _Gate(nn.Module):
    """One task's selectors and their weights, which depend on the features or not."""

    def __init__(self, experts: int, k: int, gamma: float, *, in_features: int | None) -> None:
        super().__init__()
        self.experts, self.k, self.gamma = experts, k, gamma
        bits = (experts - 1).bit_length()
        # So that z starts well within the step, however many features there are.
        steep = gamma * min(0.01, 0.2 / math.sqrt(in_features or 1))
        self.z = _Numbers(k * bits, in_features, weight=steep, bias=gamma / 100) if bits else None
        # One selector has the weight 1, and one expert the share 1, whatever the parameters are.
        self.alpha = _Numbers(k, in_features, weight=0.05, bias=0.05) if bits and k > 1 else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`[N, in_features]` -> selectors `[N, k, E]` and weights `[N, k]`; `[1, …]` where they do not depend on x."""
        if self.z is None:
            return x.new_ones(1, self.k, 1), x.new_full((1, self.k), 1 / self.k)
        t = (self.z(x).unflatten(1, (self.k, -1)) / self.gamma + 0.5).clamp(0, 1)
        step = t * t * (3 - 2 * t)
        chosen = torch.ones_like(step[:, :, :1])
        for bit in step.split(1, dim=2):
            chosen = torch.stack([chosen * (1 - bit), chosen * bit], dim=3).flatten(2)
        weights = torch.ones_like(step[:, :, 0]) if self.alpha is None else F.softmax(self.alpha(x), dim=1)
        return chosen[:, :, : self.experts], weights


@final
class _Numbers(nn.Module):
    """Numbers `[N, width]` that are linear in the features, or `[1, width]` that are the same for all rows."""

    def __init__(self, width: int, in_features: int | None, *, weight: float, bias: float) -> None:
        super().__init__()
        shape = None if in_features is None else (width, in_features)
        self.weight = None if shape is None else nn.Parameter(torch.empty(shape).uniform_(-weight, weight))
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bias, bias))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_features]` -> `[N, width]` or `[1, width]`, in no less than float32."""
        numbers = self.bias[None] if self.weight is None else F.linear(x, self.weight, self.bias)
        return numbers.float() if numbers.dtype in (torch.float16, torch.bfloat16) else numbers


class _Regularised(torch.autograd.Function):
    """A task's mixture as it is; backward adds the gradient of what the paper adds to the task's loss."""

    @staticmethod
    def forward(ctx: Any, mixed: Tensor, chosen: Tensor, entropy: float, missing: bool) -> Tensor:
        ctx.save_for_backward(chosen)
        ctx.entropy, ctx.missing = entropy, missing
        return mixed.view_as(mixed)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (chosen,) = ctx.saved_tensors
        # A row without a label has no gradient, and a task without a label in the batch is to stand still.
        reached = (gradient != 0).any(1).to(chosen.dtype)
        # Selectors that are the same for all rows count once; those of each row by their mean.
        share = reached / reached.sum().clamp_min(1)
        share = share if len(chosen) > 1 else share.sum(0, keepdim=True)
        within = chosen + SMALL
        slope = -ctx.entropy * (within.log() + chosen / within)
        if ctx.missing:
            slope = slope - chosen.sum(2, keepdim=True).clamp_min(LEAST).pow(-2)
        return gradient, slope * share[:, None, None], None, None
