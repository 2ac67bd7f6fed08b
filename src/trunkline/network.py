"""The network: inputs -> embedding -> sharing -> fork -> towers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from trunkline.balance.base import JacobianBalancer
from trunkline.balance.fork import Fork
from trunkline.balance.parameter_fork import fork_at_parameters
from trunkline.errors import Problems
from trunkline.nn.embedding import Embedding, LookupPlan
from trunkline.nn.inputs import Ragged
from trunkline.nn.per_task_embedding import PerTaskEmbedding
from trunkline.sharing import Sharing
from trunkline.sharing.base import Gates
from trunkline.tasks import Task, sample_space, task_losses
from trunkline.towers import Towers

At = Literal["fork", "parameters"]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards each part is in the mode that it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@final
class Network(nn.Module):
    """One network for several tasks.

    Args:
        embedding: from ids and numbers to features; `PerTaskEmbedding` where the sharing wants them apart.
        sharing: from features to what each tower reads.
        fork: splits the shared representation, balancing the tasks' gradients on the way back.
        towers: from what it reads to each task's raw outputs.
        at: where gradients are balanced: at the `"fork"`, or over the shared `"parameters"` themselves (see
            `fork_at_parameters`), embedding tables included.

    Shape:
        - ids: `[N, C]` integers; numbers: `[N, M]` float; lists: `Ragged` of each list feature.
        - Output: `{task: [N, outputs]}` raw outputs.

    Raises:
        UserError: parts whose widths or numbers of tasks do not fit together.
    """

    def __init__(
        self, embedding: Embedding | PerTaskEmbedding, sharing: Sharing, fork: Fork, towers: Towers, *, at: At = "fork"
    ) -> None:
        super().__init__()
        problems = Problems()
        if fork.tasks != len(towers.tasks):
            problems.add(f"the fork has {fork.tasks} branches for {len(towers.tasks)} towers")
        if embedding.out_features != sharing.in_features:
            problems.add(f"the embedding is {embedding.out_features} wide, the sharing reads {sharing.in_features}")
        if isinstance(embedding, PerTaskEmbedding) != sharing.separate:
            kind = type(sharing).__name__
            problems.add(
                f"{kind} wants an embedding for each task" if sharing.separate else f"{kind} wants one embedding"
            )
        if sharing.out_features != towers.in_features:
            problems.add(f"the sharing is {sharing.out_features} wide, the towers read {towers.in_features}")
        names = tuple(task.name for task in towers.tasks)
        if sharing.tasks is not None and sharing.tasks != names:
            problems.add(f"the sharing is for {', '.join(sharing.tasks)}, the towers are for {', '.join(names)}")
        balancer = fork.balancer
        if at not in get_args(At):
            problems.add(f"at {at!r}: it is one of {', '.join(get_args(At))}")
        if sharing.separate and balancer is not None:
            problems.add(f"{type(sharing).__name__} shares nothing: there are no gradients to balance")
        if at == "parameters" and balancer is None:
            problems.add("at: parameters needs a method that balances gradients")
        if at == "fork" and isinstance(balancer, JacobianBalancer) and not balancer.at_fork:
            problems.add(
                f"{type(balancer).__name__} keeps state for each shared parameter, which a batch's rows at the fork "
                "cannot carry; use it at: parameters"
            )
        nothing = isinstance(embedding, Embedding) and not (sharing.shared_parameters() or list(embedding.parameters()))
        if at == "parameters" and nothing:
            problems.add("at: parameters has nothing to balance: the tasks share no parameter")
        problems.raise_if_any()
        self.at = at
        self.embedding = embedding
        self.sharing = sharing
        self.fork = fork
        self.towers = towers

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks, in order."""
        return self.towers.tasks

    def forward(
        self, ids: Tensor, numbers: Tensor, lists: Sequence[Ragged] = (), found: LookupPlan | None = None
    ) -> dict[str, Tensor]:
        """ids `[N, C]`, numbers `[N, M]`, lists of ids -> `{task: [N, outputs]}`; `found` by `plan_lookups`."""
        if self.at == "fork" or not torch.is_grad_enabled():
            branches = self.sharing(self.embedding(ids, numbers, lists, found), self.fork.split, ids)
        else:
            embedding = self.embedding
            assert isinstance(embedding, Embedding)
            leaves, found = embedding.gather(ids, lists, found)
            shared = [*self.sharing.shared_parameters(), *embedding.dense()]

            def trunk(*leaves: Tensor) -> tuple[Tensor, ...]:
                return self.sharing.shared(embedding.place(leaves, found, numbers, lists), ids)

            rows = [unique.rows for unique in found if unique is not None]
            branches = self.sharing.per_task(fork_at_parameters(self.fork, trunk, leaves, shared, rows=rows))
        raws: dict[str, Tensor] = self.towers(branches)
        return raws

    def plan_lookups(self, ids: Tensor, lists: Sequence[Ragged] = ()) -> LookupPlan:
        """What `forward` has to find out about a batch's ids, beforehand; it may run on another thread."""
        if isinstance(self.embedding, PerTaskEmbedding):
            return self.embedding.plan_lookups(ids, lists)
        return self.embedding.plan_lookups(ids, lists, every=self.at == "parameters")

    @torch.no_grad()
    def gates(self, ids: Tensor, numbers: Tensor, lists: Sequence[Ragged] = ()) -> Gates:
        """How each gate mixes its experts for each row `{gate: {expert: [N]}}`, as in evaluation; modes are kept."""
        with evaluating(self):
            return self.sharing.gates(self.embedding(ids, numbers, lists), ids)

    def losses(
        self,
        raws: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
        weights: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Losses `[T]` and active `[T]`: see `task_losses`; rows outside a task's `where` do not count."""
        if any(task.where or task.space for task in self.tasks):
            labels = sample_space(self.tasks, labels)
        return task_losses(self.tasks, raws, labels, weights)

    def parameters_by_subnet(self) -> dict[str, list[nn.Parameter]]:
        """All parameters by subnet: `embedding`, `shared`, `gate.<task>`, `tower.<task>`, `balance` and the like."""
        owners = self.embedding.parameters_by_subnet()
        owners |= {name: list(parameters) for name, parameters in self.sharing.parameters_by_subnet().items()}
        owners |= self.towers.parameters_by_subnet()
        owners["balance"] = list(self.fork.parameters())
        return {name: parameters for name, parameters in owners.items() if parameters}
