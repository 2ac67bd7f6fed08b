"""Adapter for torchjd: any of its stateless aggregators as a balancer."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from torch import Tensor, nn

from trunkline.balance.base import JacobianBalancer
from trunkline.errors import UserError, did_you_mean


@final
class FromTorchJD(JacobianBalancer):
    """Combines gradients with a `torchjd.aggregation.Aggregator` (the extra `trunkline[torchjd]`).

    The aggregator's own scale is kept. One that draws at random reads torch's global generator, as torchjd does.

    Args:
        aggregator: an instance, or the name of a class in `torchjd.aggregation`.
        arguments: for its constructor, where a name is given.

    Raises:
        UserError: torchjd is not installed, has no such aggregator or refuses the arguments; an aggregator that keeps
            state from one call to the next, which a batch's rows at the fork cannot carry.
    """

    def __init__(self, *, aggregator: Any, arguments: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.aggregator = _made(aggregator, arguments or {})
        if _keeps_state(self.aggregator):
            raise UserError(
                f"torchjd's {type(self.aggregator).__name__} keeps state for each shared parameter or task, which rows "
                "at the fork cannot carry; take moco, db_mtl or excess_mtl (at: parameters), or gradvac"
            )

    def combine(self, jacobian: Tensor, active: Sequence[int]) -> Tensor:
        """What the aggregator makes of `[A, M]`."""
        try:
            combined: Tensor = self.aggregator(jacobian)
        except ValueError as error:
            raise UserError(
                f"torchjd's {type(self.aggregator).__name__} cannot combine the gradients of {len(jacobian)} active "
                f"tasks: {error}"
            ) from error
        return combined


def _made(aggregator: Any, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        from torchjd import aggregation
    except ImportError as error:
        raise UserError(f"torchjd is not installed ({error}); pip install 'trunkline[torchjd]'") from error
    if isinstance(aggregator, aggregation.Aggregator):
        made: nn.Module = aggregator
        return made
    kinds = {
        name: kind
        for name, kind in vars(aggregation).items()
        if isinstance(kind, type) and issubclass(kind, aggregation.Aggregator) and kind is not aggregation.Aggregator
    }
    if not isinstance(aggregator, str) or aggregator not in kinds:
        hint = did_you_mean(str(aggregator), kinds)
        raise UserError(f"torchjd.aggregation has no aggregator {aggregator!r}{hint} (it has: {', '.join(kinds)})")
    try:
        made = kinds[aggregator](**arguments)
    except (TypeError, ValueError, ImportError) as error:
        raise UserError(f"torchjd's {aggregator} refuses {dict(arguments)}: {error}") from error
    return made


def _keeps_state(aggregator: nn.Module) -> bool:
    from torchjd import Stateful

    return any(isinstance(module, Stateful) for module in aggregator.modules())
