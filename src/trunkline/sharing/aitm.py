"""AITM: adaptive information transfer along a chain of tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.mlp import MLP, Layers
from trunkline.sharing.base import Gates, Sharing, check_branches, check_names, same


@final
class AITM(Sharing):
    """A trunk for each task, each handing on to the next of a chain (Xi et al. 2021, 2105.08489).

    For tasks that follow one another, such as impression, click, purchase. Trunk t gives pₜ; task 1 of the chain reads
    z₁ = p₁, and each later one what attention takes of its own trunk and of what the task before it hands on:

        qₜ₋₁ = g(zₜ₋₁),  zₜ = Σ_u wᵤ·V u  over u ∈ {pₜ, qₜ₋₁},  w = softmax(⟨K u, Q u⟩ / √d)

    where g is one layer and V, K, Q are linear, of width d, learned for each step of the chain.

    The paper's calibrator, a loss that asks for P(buy) <= P(click), is not part of this. A joint probability by
    `space:` has it by construction: P(buy) = P(click)·P(buy | click).

    The trunk forks at all pₜ. A later task's loss reaches the trunks before it in the chain, and is balanced there.
    What is handed on to task t belongs to its subnet `transfer.<task>`; it lies behind the fork, and besides task t's
    gradient it takes those of the tasks further down the chain as they are.

    Args:
        in_features: width of the features, which all trunks read.
        tasks: names of the T tasks, in order.
        hidden: widths of each trunk's layers.
        chain: all tasks' names in the order in which they hand on; by default the order of `tasks`.
        layers: what the trunks are made of; g has their activation, but neither norm nor dropout.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: no task, one that is named twice; a chain that does not name every task once; what `MLP` refuses; a
            fork with another number of branches.

    Examples:
        >>> sharing = AITM(5, ["buy", "click"], chain=["click", "buy"], hidden=[16, 8])
        >>> buy, click = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        hidden: Sequence[int] = (256, 128),
        chain: Sequence[str] = (),
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = check_names(tasks)
        chain = chain or tasks
        if sorted(chain) != sorted(tasks):
            raise UserError(f"chain {', '.join(chain)}: it must name every task once ({', '.join(tasks)})")
        self.chain = tuple(self.tasks.index(task) for task in chain)
        made = layers or Layers()
        self.trunk = nn.ModuleList(MLP(in_features, hidden, made) for _ in tasks)
        self.in_features = in_features
        self.out_features = hidden[-1] if hidden else in_features
        plain = Layers(activation=made.activation)
        self.transfer = nn.ModuleList(_Transfer(self.out_features, plain) for _ in chain[1:])

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """What each task's trunk gives, T tensors `[N, out_features]`."""
        return tuple(trunk(x) for trunk in self.trunk)

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's zₜ `[N, out_features]`, from its own copies of the trunks up to its own."""
        check_branches(len(self.tasks), copies)
        if same(copies):
            chain = self._along(copies[0], len(self.chain))
        else:
            chain = [self._along(copies[task], place + 1)[place] for place, task in enumerate(self.chain)]
        outputs = dict(zip(self.chain, chain, strict=True))
        return tuple(outputs[task] for task in range(len(self.tasks)))

    def _along(self, p: Sequence[Tensor], tasks: int) -> list[Tensor]:
        """zₜ of the chain's first tasks, from one task's copies of the trunks."""
        z = [p[self.chain[0]]]
        for task, transfer in zip(self.chain[1:tasks], self.transfer, strict=False):
            z.append(transfer(p[task], z[-1]))
        return z

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Each task owns its trunk, and all but the chain's first what is handed on to it."""
        trunks = {f"trunk.{task}": list(trunk.parameters()) for task, trunk in zip(self.tasks, self.trunk, strict=True)}
        transfers = {
            f"transfer.{self.tasks[task]}": list(transfer.parameters())
            for task, transfer in zip(self.chain[1:], self.transfer, strict=True)
        }
        return {**trunks, **transfers}

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """All trunks'."""
        return list(self.trunk.parameters())

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """None: what is handed on is no expert."""
        return {}


class _Transfer(nn.Module):
    """One step of the chain: a task's own pₜ `[N, d]` and the last zₜ₋₁ `[N, d]` -> zₜ `[N, d]`."""

    def __init__(self, width: int, layers: Layers) -> None:
        super().__init__()
        self.hand_on = MLP(width, [width], layers)
        self.value = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.query = nn.Linear(width, width)

    def forward(self, p: Tensor, z: Tensor) -> Tensor:
        both = torch.stack([p, self.hand_on(z)], dim=1)
        scores = (self.key(both) * self.query(both)).sum(2) / math.sqrt(p.shape[1])
        return torch.bmm(scores.softmax(1)[:, None], self.value(both)).squeeze(1)
