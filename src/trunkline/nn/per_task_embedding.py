"""Separate embeddings: one for each task, side by side, for networks that share nothing."""

from collections.abc import Sequence
from itertools import chain
from typing import final

import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.embedding import Embedding, LookupPlan
from trunkline.nn.inputs import Ragged


@final
class PerTaskEmbedding(nn.Module):
    """T embeddings of the same rows, each with parameters of its own.

    Args:
        embeddings: of one layout, one a task.
        tasks: the tasks' names.

    Shape:
        - Input: as of `Embedding`.
        - Output: `[N, T · width]`, task by task.

    Raises:
        UserError: not one embedding for each task.
    """

    def __init__(self, embeddings: Sequence[Embedding], tasks: Sequence[str]) -> None:
        super().__init__()
        if not tasks or len(embeddings) != len(tasks):
            raise UserError(f"{len(embeddings)} embeddings for {len(tasks)} tasks: one for each")
        self.tasks = tuple(tasks)
        self.embeddings = nn.ModuleList(embeddings)
        self.inputs = embeddings[0].inputs
        self.out_features = sum(embedding.out_features for embedding in embeddings)

    def forward(
        self, ids: Tensor, numbers: Tensor, lists: Sequence[Ragged] = (), found: LookupPlan | None = None
    ) -> Tensor:
        """As `Embedding.forward`, T times."""
        return torch.cat([embedding(ids, numbers, lists, found) for embedding in self.embeddings], dim=1)

    def plan_lookups(self, ids: Tensor, lists: Sequence[Ragged] = ()) -> LookupPlan:
        """As `Embedding.plan_lookups`: all T look up the same rows."""
        return self._all()[0].plan_lookups(ids, lists)

    def row_sparse(self) -> list[nn.Parameter]:
        """The tables whose gradients are row-sparse."""
        return [table for embedding in self._all() for table in embedding.row_sparse()]

    def parameters_by_subnet(self) -> dict[str, list[nn.Parameter]]:
        """All parameters by subnet: each task's own, `embedding.<task>` and so on."""
        pairs = zip(self.tasks, self._all(), strict=True)
        return dict(
            chain.from_iterable(
                ((f"{subnet}.{task}", parameters) for subnet, parameters in embedding.parameters_by_subnet().items())
                for task, embedding in pairs
            )
        )

    def _all(self) -> list[Embedding]:
        return [embedding for embedding in self.embeddings if isinstance(embedding, Embedding)]
