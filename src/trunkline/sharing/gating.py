"""Gates that mix experts, and the names of what they mix."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHARED = "shared"
"""Whose the experts are that belong to no task."""


@final
class SoftmaxGate(nn.Module):
    """The shares g(x) = softmax(W x), without a bias; no parameter where there is one expert alone.

    Args:
        in_features: width of the features x.
        experts: E, how many experts there are to mix.

    Shape:
        - Input: `[N, in_features]`.
        - Output: `[N, E]`, each row summing to 1.
    """

    weight: nn.Parameter | None

    def __init__(self, in_features: int, experts: int) -> None:
        super().__init__()
        # One expert has the share 1 whatever the weights are: they would never learn.
        self.weight = nn.Parameter(nn.Linear(in_features, experts, bias=False).weight.detach()) if experts > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_features]` -> `[N, E]`."""
        return x.new_ones(x.shape[0], 1) if self.weight is None else F.softmax(F.linear(x, self.weight), dim=1)


def mix(shares: Tensor, *outputs: Tensor) -> Tensor:
    """The experts' outputs, weighed: shares `[N, E]` and outputs `[N, E₁, d]`, `[N, E₂, d]` … -> `[N, d]`; E = ΣEᵢ."""
    parts = torch.split(shares, [output.shape[1] for output in outputs], dim=1)
    # A product for each part: side by side the outputs would be written once more for every gate.
    products = [torch.bmm(part[:, None], output).squeeze(1) for part, output in zip(parts, outputs, strict=True)]
    return sum(products[1:], start=products[0])


def expert_names(owner: str, count: int) -> list[str]:
    """`shared.0` … of the shared experts, `<task>.0` … of a task's own; `task.shared.0` … of a task named shared."""
    return [f"{owner}.{i}" for i in range(count)]


def task_experts(task: str, count: int) -> list[str]:
    """Names of a task's own experts: `<task>.0` …, and `task.shared.0` … for a task that is called shared."""
    return expert_names(f"task.{task}" if task == SHARED else task, count)


def by_name(names: Sequence[str], shares: Tensor) -> dict[str, Tensor]:
    """Shares `[N, E]` as `{expert: [N]}`."""
    return dict(zip(names, shares.unbind(1), strict=True))


def learning(owners: Mapping[str, Sequence[nn.Parameter]]) -> dict[str, Sequence[nn.Parameter]]:
    """The subnets that have a parameter."""
    return {name: parameters for name, parameters in owners.items() if parameters}
