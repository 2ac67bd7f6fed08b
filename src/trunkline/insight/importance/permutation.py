"""Permutation: a network's outputs where one feature of every row is another row's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from trunkline.inference.evaluate import raw_outputs
from trunkline.inference.model import STEP
from trunkline.network import Network
from trunkline.tables import Batch, Batches, Encoder, Store
from trunkline.tables.encoder import Slices
from trunkline.tasks import Task

ESTIMATE = " (estimate)"
"""After the name of a task whose estimate stands as a feature."""

Raws = dict[str, Tensor]
Permuted = Callable[[Tensor], Raws]
"""From the row `[N]` whose feature each row is given to the raw outputs `{task: [N, outputs]}` of the towers."""


def feature_names(network: Network, encoder: Encoder) -> list[str]:
    """The user's columns, then the estimates that other tasks read."""
    return [*encoder.names, *(f"{task.name}{ESTIMATE}" for task in _read(network))]


def permuted_features(network: Network, encoder: Encoder, rows: Batch) -> dict[str, Permuted]:
    """By the user's columns; all that a column became moves together.

    Args:
        network: as it is; nothing of it changes.
        encoder: of the rows.
        rows: N.
    """
    return {name: _outputs(network, rows, place) for name, place in encoder.slices().items()}


def permuted_estimates(network: Network, rows: Batch, raws: Mapping[str, Tensor]) -> dict[str, Permuted]:
    """By the tasks whose estimates other towers read: those are given another row's, the task itself keeps its own.

    Args:
        network: as it is; nothing of it changes.
        rows: N.
        raws: its raw outputs for them.
    """

    def outputs(name: str, signal: Tensor) -> Permuted:
        def permuted(donors: Tensor) -> Raws:
            with _reading(network, name, signal[donors]):
                return run_network(network, rows)

        return permuted

    return {f"{task.name}{ESTIMATE}": outputs(task.name, task.signal(raws[task.name])) for task in _read(network)}


def run_network(network: Network, rows: Batch) -> Raws:
    """Raw outputs `{task: [N, outputs]}` of the towers, on the CPU; each part's mode is kept."""
    return raw_outputs(network, Batches(store=Store.of(rows), size=STEP), next(network.parameters()).device)


def _read(network: Network) -> list[Task]:
    """The tasks whose estimates others read."""
    names = {name for task in network.tasks for name in task.reads}
    return [task for task in network.tasks if task.name in names]


def _outputs(network: Network, rows: Batch, place: Slices) -> Permuted:
    ids, numbers, lists = place
    feature = Batch(rows.ids[:, ids], rows.numbers[:, numbers], {}, {}, rows.lists[lists])

    def permuted(donors: Tensor) -> Raws:
        taken = feature.take(donors)
        made = Batch(
            _with(rows.ids, ids, taken.ids),
            _with(rows.numbers, numbers, taken.numbers),
            {},
            {},
            (*rows.lists[: lists.start], *taken.lists, *rows.lists[lists.stop :]),
        )
        return run_network(network, made)

    return permuted


def _with(values: Tensor, columns: slice, taken: Tensor) -> Tensor:
    """The values `[N, C]` with some columns replaced; the values themselves where there are none to replace."""
    if not taken.shape[1]:
        return values
    made = values.clone()
    made[:, columns] = taken
    return made


@contextmanager
def _reading(network: Network, name: str, signal: Tensor) -> Iterator[None]:
    """Inside, towers that read a task's estimate are given this signal `[N, k]`: of one run over the rows, in order."""
    widths = {task.name: task.signal_width for task in network.tasks}
    hooks = []
    try:
        for task, subnet in zip(network.tasks, network.towers.subnets, strict=True):
            if name in task.reads:
                before = sum(widths[read] for read in task.reads[: task.reads.index(name)])
                replaced = _replaced(network.towers.in_features + before, signal)
                hooks.append(subnet.register_forward_pre_hook(replaced))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _replaced(start: int, signal: Tensor) -> Callable[[nn.Module, tuple[Tensor]], Tensor]:
    """A hook that writes the signal of the rows that come over the columns from `start` on."""
    waiting = signal

    def replaced(_: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        nonlocal waiting
        made = inputs[0].clone()
        made[:, start : start + signal.shape[1]], waiting = waiting[: len(made)].to(made), waiting[len(made) :]
        return made

    return replaced
