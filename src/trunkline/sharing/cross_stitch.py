"""Cross-stitch networks."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.mlp import Layers
from trunkline.sharing.base import Gates, Sharing, check_branches, check_names, same
from trunkline.sharing.trunk import trunk_layers


@final
class CrossStitch(Sharing):
    """A trunk for each task, their layers' outputs mixed by learned weights (Misra et al. 2016, 1604.03539, eq. 1).

    After layer l, trunk t goes on from Σₛ αˡₜₛ·hˡₛ, where hˡₛ is what layer l of trunk s gives: α = 1 shares nothing,
    equal weights share everything, and the network learns what lies between.

    The trunk forks at the last layers' outputs of all T trunks. The stitches between the layers and the trunks lie
    before it: every task's gradient reaches all of them and is balanced. Row t of the last stitch is task t's own.

    Args:
        in_features: width of the features, which all trunks read.
        tasks: names of the T tasks, in order.
        hidden: widths of each trunk's layers.
        keep: each stitch's αₜₜ at first, in [0, 1]; the others of its row have equal shares of 1 - keep.
        per_channel: whether each unit of a layer has an α of its own, as in the paper, or all of them one.
        layers: what the layers are made of.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: no task, one that is named twice; no layer, and what `MLP` refuses; a `keep` outside [0, 1]; a fork
            with another number of branches.

    Examples:
        >>> sharing = CrossStitch(5, ["click", "buy"], hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        hidden: Sequence[int] = (256, 128),
        keep: float = 0.9,
        per_channel: bool = False,
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = check_names(tasks)
        if not 0 <= keep <= 1:
            raise UserError(f"keep {keep}: it must be in [0, 1]")
        self.trunk = nn.ModuleList(trunk_layers(in_features, hidden, layers) for _ in tasks)
        start = _start(len(tasks), keep)
        stitches = [start[..., None].repeat(1, 1, width) if per_channel else start.clone() for width in hidden]
        *between, last = stitches
        self.stitches = nn.ParameterList(nn.Parameter(stitch) for stitch in between)
        self.gate = nn.ParameterList(nn.Parameter(row.clone()) for row in last)
        self.in_features = in_features
        self.out_features = hidden[-1]

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """What the T trunks' last layers give `[T, N, out_features]`."""
        inputs: Sequence[Tensor] = (x,) * len(self.trunk)
        for depth, layer in enumerate(zip(*(trunk.children() for trunk in self.trunk), strict=True)):
            # Trunks first: one product then mixes all rows, two to four times as fast as one for each row.
            outputs = torch.stack([alone(read) for alone, read in zip(layer, inputs, strict=True)])
            if depth < len(self.stitches):
                inputs = _stitch(self.stitches[depth], outputs).unbind()
        return (outputs,)

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's mixture of its copies `[N, out_features]`."""
        check_branches(len(self.gate), copies)
        if same(copies):
            return _stitch(torch.stack(list(self.gate)), copies[0][0]).unbind()
        return tuple(_stitch(row[None], outputs)[0] for row, (outputs,) in zip(self.gate, copies, strict=True))

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The stitches between the layers are shared; each task owns its trunk and its row of the last stitch."""
        trunks = {f"trunk.{task}": list(trunk.parameters()) for task, trunk in zip(self.tasks, self.trunk, strict=True)}
        gates = {f"gate.{task}": [row] for task, row in zip(self.tasks, self.gate, strict=True)}
        return {**({"shared": list(self.stitches)} if len(self.stitches) else {}), **trunks, **gates}

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """The stitches between the layers and all trunks."""
        return [*self.stitches, *self.trunk.parameters()]

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """None: a stitch is the same for all rows, and its weights are no shares."""
        return {}


def _start(tasks: int, keep: float) -> Tensor:
    """A stitch `[T, T]` whose rows sum to 1."""
    if tasks == 1:
        return torch.ones(1, 1)
    return torch.full((tasks, tasks), (1 - keep) / (tasks - 1)).fill_diagonal_(keep)


def _stitch(weights: Tensor, x: Tensor) -> Tensor:
    """Weights `[R, T]`, or `[R, T, width]` for each unit, and `[T, N, width]` -> R mixtures `[R, N, width]`."""
    if weights.dim() == 2:
        return (weights @ x.flatten(1)).view(len(weights), *x.shape[1:])
    # T² products of single numbers a unit: as matrix products they would be a hundred times smaller than pays.
    return torch.stack([(x * row[:, None]).sum(0) for row in weights.unbind()])
