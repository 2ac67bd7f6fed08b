"""Names in a config that only this process knows."""

from collections.abc import Iterable, Iterator
from typing import Any

from trunkline.balance.methods import GRADIENTS, OBJECTIVES
from trunkline.callbacks import CALLBACKS
from trunkline.config.root import Config
from trunkline.errors import UserError
from trunkline.metrics import METRICS
from trunkline.nn.interaction import INTERACTIONS
from trunkline.nn.numeric_embedding import NUMBERS
from trunkline.registry import Registry
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tables.columns import FEATURE_KINDS
from trunkline.tasks import TASK_KINDS
from trunkline.trackers import TRACKERS


def workers(configs: Iterable[Config], *, asked: int | None, usual: int) -> int:
    """How many processes may do the work: one where a config names what this program alone has registered.

    Args:
        configs: all that are to be trained.
        asked: how many the user wants.
        usual: how many there are if nobody says.

    Raises:
        UserError: several are asked for, and they would not know such a name.
    """
    alone = list(dict.fromkeys(name for config in configs for name in _here_alone(config)))
    if alone and asked is not None and asked > 1:
        raise UserError(
            f"{', '.join(alone)}: registered by this program, so other processes do not know it; give jobs=1, or "
            "offer it under an entry point of an installed package"
        )
    return 1 if alone else asked or usual


def _here_alone(config: Config) -> Iterator[str]:
    network, balance = config.network, config.balance
    named: list[tuple[Registry[Any], str]] = [
        (OBJECTIVES, balance.objective.kind),
        (ARCHITECTURES, network.sharing.kind),
    ]
    named += [(GRADIENTS, balance.gradients.kind)] if balance.gradients is not None else []
    named += [(NUMBERS, network.numbers.kind), (INTERACTIONS, network.interaction.kind)]
    named += [(TASK_KINDS, task.kind) for task in config.tasks.values()]
    named += [(METRICS, name) for task in config.tasks.values() for name in task.metrics or ()]
    named += [(FEATURE_KINDS, one.kind) for one in config.features.values()] if config.features != "auto" else []
    named += [(CALLBACKS, one.kind) for one in config.training.callbacks]
    named += [(TRACKERS, one.kind) for one in config.training.trackers]
    yield from (f"{table.what} {name!r}" for table, name in named if table.only_here(name))
