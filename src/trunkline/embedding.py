"""Ids in, vectors out: the tables of the categorical features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.errors import UserError

MISSING, UNSEEN = 0, 1
"""The first two rows of every table; both start at the zero vector."""


class Embedding(nn.Module):
    """One vector for each id of each categorical feature, beside the numeric inputs.

    Features of the same width lie in one table, so that one gather serves them all.

    Args:
        rows: number of rows of each categorical feature, row `MISSING` and row `UNSEEN` included (at least 2).
        widths: width of each feature's vectors.
        numbers: M, how many numeric inputs pass through.
        scale: standard deviation of the vectors' initial values.
        sparse: give the tables row-sparse gradients, for an optimiser that takes them: a step then costs what the
            batch's rows cost, however long the tables.

    Shape:
        - ids: `[N, C]` integers, 0 <= id < rows of the feature.
        - numbers: `[N, M]` float.
        - Output: `[N, out_features]`, the features' vectors grouped by width, then the numbers.

    Raises:
        UserError: a feature with fewer than two rows or no width, or nothing to read at all.
    """

    def __init__(
        self, rows: Sequence[int], widths: Sequence[int], numbers: int, *, scale: float = 0.1, sparse: bool = False
    ) -> None:
        super().__init__()
        if len(rows) != len(widths) or min(rows, default=2) < 2 or min(widths, default=1) < 1:
            raise UserError(
                f"embedding rows {list(rows)} and widths {list(widths)}: one of each, rows >= 2, widths >= 1"
            )
        if not rows and numbers < 1:
            raise UserError("no feature: give at least one")
        self.tables = nn.ParameterList()
        for group, width in enumerate(sorted(set(widths))):
            members = [i for i, w in enumerate(widths) if w == width]
            starts = torch.tensor([0, *(rows[i] for i in members)]).cumsum(0)
            table = torch.randn(int(starts[-1]), width) * scale
            for start in starts[:-1].tolist():
                table[start : start + UNSEEN + 1] = 0.0
            self.tables.append(nn.Parameter(table))
            self.register_buffer(f"columns{group}", torch.tensor(members), persistent=False)
            self.register_buffer(f"starts{group}", starts[:-1].clone(), persistent=False)
        self.sparse = sparse
        self.out_features = sum(widths) + numbers

    def forward(self, ids: Tensor, numbers: Tensor) -> Tensor:
        """ids `[N, C]`, numbers `[N, M]` -> `[N, out_features]`."""
        parts = [
            F.embedding(rows, table, sparse=self.sparse).flatten(1)
            for rows, table in zip(self._rows(ids), self.tables, strict=True)
        ]
        return torch.cat([*parts, numbers], dim=1)

    def gather(self, ids: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The batch's unique rows of each table `[U, width]`, and for every id the place of its row `[N, C_table]`.

        The tables learn through these rows alone, so a gradient with respect to them is exact and as long as the
        batch has ids, not as the table.
        """
        unique, places = [], []
        for rows, table in zip(self._rows(ids), self.tables, strict=True):
            kept, place = torch.unique(rows, return_inverse=True)
            unique.append(F.embedding(kept, table, sparse=self.sparse))
            places.append(place)
        return unique, places

    @staticmethod
    def place(unique: Sequence[Tensor], places: Sequence[Tensor], numbers: Tensor) -> Tensor:
        """What `forward` gives, from what `gather` gave."""
        parts = [F.embedding(place, rows).flatten(1) for rows, place in zip(unique, places, strict=True)]
        return torch.cat([*parts, numbers], dim=1)

    def _rows(self, ids: Tensor) -> list[Tensor]:
        """For each table the ids that look into it, as its rows."""
        rows = []
        for group in range(len(self.tables)):
            columns, starts = self.get_buffer(f"columns{group}"), self.get_buffer(f"starts{group}")
            rows.append((ids if len(columns) == ids.shape[1] else ids[:, columns]) + starts)
        return rows
