"""Checks of a config before any row is read."""

from collections.abc import Sequence
from dataclasses import replace

from trunkline.assembly.balance import build_objective
from trunkline.assembly.callbacks import build_callbacks
from trunkline.assembly.device import pick_device
from trunkline.assembly.memory import check_memory, in_shape
from trunkline.assembly.network import build_network
from trunkline.assembly.optimizers import build_optimizers
from trunkline.assembly.tasks import build_tasks
from trunkline.balance import ObjectiveBalancer
from trunkline.config import (
    Config,
)
from trunkline.errors import Problems
from trunkline.metrics import selection
from trunkline.network import Network
from trunkline.nn.inputs import Inputs
from trunkline.random_state import isolated_random
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tasks import Task, check_tasks


def check_config(config: Config) -> list[Task]:
    """Find what can be found before any row is read: tasks, subnets, score, device; returns the tasks.

    Raises:
        UserError: all of it.
    """
    problems = Problems()
    tasks: list[Task] = []
    with problems.collect():
        tasks = build_tasks(config)
    with problems.collect():
        pick_device(config.training)
    with problems.collect():
        build_callbacks(config.training)
    if tasks:
        with problems.collect():
            check_tasks(tasks)
        with problems.collect():
            selection(config.training.select, tasks)
        with problems.collect():
            # No row is read yet: features of each sort give every subnet that there could be. How tasks depend on one
            # another is checked above and makes no subnet.
            apart = [replace(task, reads=(), where=None, space=None) for task in tasks]
            check_subnets(config, apart, _some_inputs(config))
    problems.raise_if_any()
    return tasks


def _some_inputs(config: Config) -> Inputs:
    """Inputs of which every part of a network can be made: the features that the config names to it, and a number."""
    sharing = config.network.sharing
    asked = [sharing.options.get(option) for option in ARCHITECTURES.find(sharing.kind).uses_features]
    names = [name for one in asked for name in ([one] if isinstance(one, str) else one or ())]
    known = dict.fromkeys([*names, "a feature", "another feature"])
    return Inputs(
        rows=(2,) * len(known),
        widths=(1,) * len(known),
        numbers=1,
        quantiles=((0.0, 1.0),),
        names=tuple(known),
    )


def check_subnets(config: Config, tasks: Sequence[Task], inputs: Inputs) -> Network:
    """Make a network in shape, without memory for its parameters, and the optimisers for it; returns the network.

    Raises:
        UserError: a subnet pattern that matches nothing; a network that this machine has no memory for.
    """
    network = check_memory(config, inputs, lambda config, inputs: build_network(config, tasks, inputs))
    with in_shape():
        build_optimizers(config.optimizer, network, build_objective(config.balance, tasks))
    return network


def least_network(config: Config, tasks: Sequence[Task], inputs: Inputs) -> tuple[Network, ObjectiveBalancer]:
    """A network with the least of rows, and what merges its losses; no random number is drawn.

    Raises:
        UserError: what `build_network` and `build_objective` refuse.
    """
    with isolated_random(None):
        lists = tuple(replace(feature, rows=min(feature.rows, 2)) for feature in inputs.lists)
        network = build_network(config, tasks, replace(inputs, rows=(2,) * len(inputs.rows), lists=lists))
        return network, build_objective(config.balance, tasks)
