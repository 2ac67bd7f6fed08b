"""Embeddings: ids in, vectors out; short tables dense, long ones row-sparse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.embedding_ops import Unique, look_up, look_up_sparse, rows_of, sum_lists, unique
from trunkline.nn.huge_pages import hint_huge_pages
from trunkline.nn.inputs import FeatureSlice, Grid, Inputs, ListFeature, Ragged
from trunkline.nn.interaction import Fields, Interaction, NoInteraction, Run
from trunkline.nn.numeric_embedding import NumericEmbedding, PlainNumbers
from trunkline.nn.target_attention import TargetAttention

MISSING, UNSEEN = 0, 1
"""The first two rows of every table; both start at the zero vector."""


LookupPlan = tuple[Unique | None, ...]
"""For each table what a batch looks up there; None where nobody asked."""


@final
@dataclass(frozen=True)
class _Table:
    """Which features lie in one table, and where in it each begins."""

    width: int
    sparse: bool
    rows: int
    columns: tuple[int, ...]
    starts: tuple[int, ...]
    lists: tuple[int, ...]
    list_starts: tuple[int, ...]


@final
class Embedding(nn.Module):
    """From ids, lists of ids and numbers to the features x that a trunk reads.

    One vector for each id of each categorical feature and one for each list of ids stand beside the numbers, which may
    become vectors as well; an interaction may then multiply features with one another.

    Features of the same width lie in one table, so that one gather serves them all. Long ones lie in a table of their
    own whose gradient is row-sparse: it holds the batch's rows alone (coalesced), and with an optimiser that touches
    no more than those (`RowAdam`, `RowAdagrad`) a step costs what the batch's rows cost, however long the table.

    Args:
        rows: number of rows of each categorical feature, row `MISSING` and row `UNSEEN` included (at least 2).
        widths: width of each feature's vectors.
        numbers: M, how many numeric inputs there are.
        lists: the features of which every row has a list of ids.
        quantiles: of each of the M numbers, as in `Inputs`.
        numeric: makes what the numbers go through, given their quantiles: `PiecewiseNumbers`,
            `partial(PeriodicNumbers, scale=1.0)` …
        interaction: makes what the features go through, given where in x their vectors lie: `CrossLayers`,
            `partial(CrossLayers, rank=32)`, `Pairwise` …
        scale: standard deviation of the vectors' initial values.
        sparse_above: features with more rows than this are row-sparse; None for none.

    Shape:
        - ids: `[N, C]` integers, 0 <= id < rows of the feature.
        - numbers: `[N, M]` float.
        - lists: for each list feature values `[K]` and offsets `[N + 1]`.
        - Output: `[N, out_features]`: table by table its features' vectors and its lists', then the numbers' vectors,
          then the numbers that have none; last what the interaction appends.

    Raises:
        UserError: what `Inputs` refuses; a negative `sparse_above`; numbers that need quantiles, which are not given;
            what `numeric` and `interaction` refuse; lists that are not those declared.
    """

    def __init__(
        self,
        rows: Sequence[int],
        widths: Sequence[int],
        numbers: int,
        *,
        lists: Sequence[ListFeature] = (),
        quantiles: Sequence[Grid | None] = (),
        numeric: Callable[[Sequence[Grid | None]], NumericEmbedding] = PlainNumbers,
        interaction: Callable[[Fields], Interaction] = NoInteraction,
        scale: float = 0.1,
        sparse_above: int | None = None,
    ) -> None:
        super().__init__()
        self.inputs = Inputs(
            rows=tuple(rows), widths=tuple(widths), numbers=numbers, lists=tuple(lists), quantiles=tuple(quantiles)
        )
        if sparse_above is not None and sparse_above < 0:
            raise UserError(f"sparse_above {sparse_above}: it must be 0 or more, or None")
        self.layout = _layout(self.inputs, sparse_above)
        self.tables = nn.ParameterList()
        # Modules of torch's own kind: by these `DistributedDataParallel` knows whose gradients are sparse.
        self.long_tables = nn.ModuleList()
        for i, table in enumerate(self.layout):
            vectors = hint_huge_pages(torch.empty(table.rows, table.width)).normal_(0.0, scale)
            for start in (*table.starts, *(s for s in table.list_starts if s not in table.starts)):
                vectors[start : start + UNSEEN + 1] = 0.0
            if table.sparse:
                self.long_tables.append(nn.Embedding(table.rows, table.width, sparse=True, _weight=vectors))
            else:
                self.tables.append(nn.Parameter(vectors))
            narrow = torch.int32 if table.rows < 2**31 else torch.int64
            self.register_buffer(f"columns{i}", torch.tensor(table.columns, dtype=torch.int64), persistent=False)
            self.register_buffer(f"starts{i}", torch.tensor(table.starts, dtype=narrow), persistent=False)
        self.attention = nn.ModuleDict(
            {str(i): TargetAttention(feature.width) for i, feature in enumerate(lists) if feature.pool == "attention"}
        )
        self.numeric = numeric(self.inputs.quantiles or (None,) * numbers)
        if numbers and not self.inputs.quantiles and not isinstance(self.numeric, PlainNumbers):
            raise UserError(
                f"{type(self.numeric).__name__} makes vectors of numbers whose quantiles it knows: give `quantiles`, a "
                "grid or None for each number, as `Encoder.inputs` has them"
            )
        self.interaction = interaction(self._fields())
        self.out_features = self.interaction.out_features

    def forward(
        self, ids: Tensor, numbers: Tensor, lists: Sequence[Ragged] = (), found: LookupPlan | None = None
    ) -> Tensor:
        """ids `[N, C]`, numbers `[N, M]`, lists -> `[N, out_features]`; `found` by `plan_lookups`, if it was asked."""
        self._check(lists)
        vectors: list[Tensor] = []
        for i, (layout, table) in enumerate(zip(self.layout, self.in_order(), strict=True)):
            rows = self._lookups(i, ids, lists)
            if layout.sparse and torch.is_grad_enabled():
                known = None if found is None else found[i]
                vectors.append(look_up_sparse(table, rows, unique(rows) if known is None else known))
            else:
                vectors.append(look_up(table, rows))
        return self._assemble(vectors, numbers, lists)

    @torch.no_grad()
    def plan_lookups(self, ids: Tensor, lists: Sequence[Ragged] = (), *, every: bool = False) -> LookupPlan:
        """The rows that a batch looks up in each row-sparse table, or in `every` table.

        It reads no parameter, so it may run beforehand and on another thread.
        """
        return tuple(
            unique(self._lookups(i, ids, lists)) if table.sparse or every else None
            for i, table in enumerate(self.layout)
        )

    def gather(
        self, ids: Tensor, lists: Sequence[Ragged] = (), found: LookupPlan | None = None
    ) -> tuple[list[Tensor], LookupPlan]:
        """The batch's unique rows of every table `[U, width]`, and where they go.

        The tables learn through these rows alone, so a gradient with respect to them is exact and as long as the
        batch has ids, not as the table.

        Args:
            ids: `[N, C]`.
            lists: of each list feature.
            found: what `plan_lookups` gave for every table, if it was asked.
        """
        self._check(lists)
        if found is None or any(known is None for known in found):
            found = self.plan_lookups(ids, lists, every=True)
        leaves: list[Tensor] = []
        for layout, table, known in zip(self.layout, self.in_order(), found, strict=True):
            assert known is not None
            leaves.append((rows_of if layout.sparse else look_up)(table, known.rows))
        return leaves, found

    def place(
        self, leaves: Sequence[Tensor], found: LookupPlan, numbers: Tensor, lists: Sequence[Ragged] = ()
    ) -> Tensor:
        """What `forward` gives, from what `gather` gave."""
        vectors = [look_up(leaf, known.places()) for leaf, known in zip(leaves, found, strict=True) if known]
        return self._assemble(vectors, numbers, lists)

    def in_order(self) -> list[nn.Parameter]:
        """The tables `[rows, width]` in the order of the output, dense and row-sparse."""
        dense, long = iter(self.tables), self.long_tables.parameters()
        return [next(long) if table.sparse else next(dense) for table in self.layout]

    def row_sparse(self) -> list[nn.Parameter]:
        """The tables whose gradients are row-sparse."""
        return [table for table, layout in zip(self.in_order(), self.layout, strict=True) if layout.sparse]

    def parameters_by_subnet(self) -> dict[str, list[nn.Parameter]]:
        """All parameters by subnet: `embedding` (tables and attention), `numbers`, `interaction`; none is empty."""
        owners = {
            "embedding": [*self.in_order(), *self.attention.parameters()],
            "numbers": list(self.numeric.parameters()),
            "interaction": list(self.interaction.parameters()),
        }
        return {name: parameters for name, parameters in owners.items() if parameters}

    def dense(self) -> list[nn.Parameter]:
        """All parameters but the tables: what `place` reads beside the rows that it is given."""
        return [*self.attention.parameters(), *self.numeric.parameters(), *self.interaction.parameters()]

    def feature_slices(self) -> tuple[FeatureSlice, ...]:
        """For each categorical feature, in their order, where its vector lies in the features."""
        places: dict[int, FeatureSlice] = {}
        start = 0
        for table in self.layout:
            for column in table.columns:
                places[column] = FeatureSlice(column, self.inputs.rows[column], start, table.width)
                start += table.width
            start += len(table.lists) * table.width
        return tuple(places[column] for column in range(len(places)))

    def _fields(self) -> Fields:
        """What the interaction reads."""
        runs: list[Run] = []
        width = 0
        for table in self.layout:
            run = Run(width, len(table.columns) + len(table.lists), table.width)
            runs.append(run)
            width += run.vectors * run.width
        if self.numeric.fields:
            runs.append(Run(width, self.numeric.fields, self.numeric.dim))
        return Fields(width=width + self.numeric.out_features, runs=tuple(runs))

    def _check(self, lists: Sequence[Ragged]) -> None:
        if len(lists) != len(self.inputs.lists):
            raise UserError(f"{len(lists)} lists of ids were given; there are {len(self.inputs.lists)} list features")

    def _lookups(self, i: int, ids: Tensor, lists: Sequence[Ragged]) -> Tensor:
        """All that looks into table i, as its rows `[L]`: the features' ids row by row, then each list's."""
        table, columns, starts = self.layout[i], self.get_buffer(f"columns{i}"), self.get_buffer(f"starts{i}")
        looked = []
        if table.columns:
            if columns.device != ids.device:  # the batch is looked through before it goes to the device
                columns, starts = columns.to(ids.device), starts.to(ids.device)
            looked.append(((ids if len(columns) == ids.shape[1] else ids[:, columns]) + starts).flatten())
        for feature, start in zip(table.lists, table.list_starts, strict=True):
            looked.append(lists[feature].values + start)
        return looked[0] if len(looked) == 1 else torch.cat(looked)

    def _assemble(self, vectors: Sequence[Tensor], numbers: Tensor, lists: Sequence[Ragged]) -> Tensor:
        """From each table's vectors `[L, width]`, in the order of its lookups, to `[N, out_features]`."""
        n = numbers.shape[0]  # with `len` an export would fix it
        parts: list[Tensor] = []
        features: dict[int, Tensor] = {}
        for table, found in zip(self.layout, vectors, strict=True):
            sizes = [n * len(table.columns), *(lists[i].values.shape[0] for i in table.lists)]
            own, *pooled = torch.split(found, sizes)
            if table.columns:
                own = own.view(n, len(table.columns), table.width)
                features |= {column: own[:, c] for c, column in enumerate(table.columns)}
                parts.append(own.flatten(1))
            for i, keys in zip(table.lists, pooled, strict=True):
                parts.append(self._pool(i, keys, lists[i].offsets, features))
        x: Tensor = self.interaction(torch.cat([*parts, self.numeric(numbers)], dim=1))
        return x

    def _pool(self, i: int, keys: Tensor, offsets: Tensor, features: dict[int, Tensor]) -> Tensor:
        """A list feature's vectors `[N, width]` from those of its ids `[K, width]`."""
        feature = self.inputs.lists[i]
        if feature.pool == "attention":
            assert feature.target is not None
            weights = self.attention[str(i)](keys, offsets, features[feature.target])
            keys = keys * weights.to(keys.dtype)[:, None]
        pooled: Tensor = sum_lists(keys, offsets)
        return pooled.div(offsets.diff().clamp(min=1)[:, None]) if feature.pool == "mean" else pooled


def _layout(inputs: Inputs, sparse_above: int | None) -> list[_Table]:
    """Features grouped by width and by whether they are long, in that order."""

    def key(width: int, rows: int) -> tuple[int, bool]:
        return width, sparse_above is not None and rows > sparse_above

    columns = [key(width, rows) for width, rows in zip(inputs.widths, inputs.rows, strict=True)]
    lists = [key(f.width, f.rows) if f.target is None else columns[f.target] for f in inputs.lists]
    layout = []
    for width, sparse in sorted({*columns, *lists}):
        members = tuple(i for i, place in enumerate(columns) if place == (width, sparse))
        pooled = tuple(i for i, place in enumerate(lists) if place == (width, sparse))
        starts, total = {}, 0
        for i in members:
            starts[i], total = total, total + inputs.rows[i]
        list_starts = []
        for i in pooled:
            target = inputs.lists[i].target
            list_starts.append(total if target is None else starts[target])
            total += inputs.lists[i].rows if target is None else 0
        layout.append(_Table(width, sparse, total, members, tuple(starts.values()), pooled, tuple(list_starts)))
    return layout
