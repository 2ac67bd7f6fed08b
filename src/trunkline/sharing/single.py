"""No sharing: the baseline."""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.mlp import MLP, Layers
from trunkline.sharing.base import Gates, Sharing, check_branches, check_names, same


@final
class Single(Sharing):
    """A network of its own for each task, embedding included: what sharing is measured against.

    Of the features x = [x₁ … x_T], T embeddings side by side, task t reads fₜ(xₜ): a perceptron of its own on an
    embedding of its own. No parameter gets gradient from two tasks, so there is nothing to balance, and every task
    learns as it would alone.

    Args:
        in_features: width of the features, T times that of one embedding.
        tasks: names of the T tasks, in order.
        hidden: widths of each task's layers.
        layers: what they are made of.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: no task, one that is named twice; features that are not T embeddings of one width; what `MLP`
            refuses; a fork with another number of branches.

    Examples:
        >>> sharing = Single(10, ["click", "buy"], hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 10), Fork(2).split)
    """

    separate = True

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        hidden: Sequence[int] = (256, 128),
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = check_names(tasks)
        if in_features % len(tasks):
            raise UserError(
                f"in_features {in_features}: it must be {len(tasks)} times the width of one embedding, one for each of "
                f"{', '.join(tasks)}"
            )
        self.trunk = nn.ModuleList(MLP(in_features // len(tasks), hidden, layers) for _ in tasks)
        self.in_features = in_features
        self.out_features = hidden[-1] if hidden else in_features // len(tasks)

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The features `[N, in_features]` as they are."""
        return (x,)

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's perceptron of its slice of its copy `[N, out_features]`."""
        count = len(self.trunk)
        check_branches(count, copies)
        if same(copies):
            # Cut up once: T slices would each send back a gradient of the whole width.
            slices = copies[0][0].chunk(count, dim=1)
        else:
            slices = tuple(x.chunk(count, dim=1)[t] for t, (x,) in enumerate(copies))
        return tuple(trunk(x) for trunk, x in zip(self.trunk, slices, strict=True))

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Each task owns its trunk."""
        return {f"trunk.{task}": list(trunk.parameters()) for task, trunk in zip(self.tasks, self.trunk, strict=True)}

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """None."""
        return []

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """None."""
        return {}
