"""From a config to the objects of a training: the one place where names become things."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, assert_never

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from trunkline.assembly.memory import check_memory
from trunkline.balance import ObjectiveBalancer
from trunkline.balance.fork import Fork
from trunkline.balance.methods import GRADIENTS, OBJECTIVES, make_method
from trunkline.config import (
    BalanceConfig,
    Chosen,
    Config,
    ConstantConfig,
    NetworkConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainingConfig,
    WarmupCosineConfig,
)
from trunkline.errors import Problems, UserError
from trunkline.metrics import selection
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.nn.inputs import Inputs
from trunkline.nn.interaction import INTERACTIONS
from trunkline.nn.mlp import Layers
from trunkline.nn.numeric_embedding import NUMBERS
from trunkline.nn.per_task_embedding import PerTaskEmbedding
from trunkline.optim.param_groups import GroupOptions, Subnets
from trunkline.optim.rowwise import RowAdagrad, RowAdam
from trunkline.optim.schedules import Constant, Schedule, WarmupCosine
from trunkline.random_state import isolated_random
from trunkline.registry import Registry
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tables import Feature
from trunkline.tasks import TASK_KINDS, Task, check_tasks
from trunkline.towers import Towers

M = TypeVar("M")


def build_tasks(config: Config) -> list[Task]:
    """The tasks, before training rows have told classes and label units.

    Raises:
        UserError: an option out of range; all of them.
    """
    problems, tasks = Problems(), list[Task]()
    for name, c in config.tasks.items():
        own: dict[str, Any] = {"where": c.where, "space": c.space, "weight": c.weight, "reads": c.reads, **c.values}
        with problems.collect():
            tasks.append(TASK_KINDS[c.kind](name=name, label=c.label or name, gradient=c.gradient, **own))
    problems.raise_if_any()
    return tasks


def build_features(config: Config) -> list[Feature] | None:
    """The features that the config names; None under `auto`."""
    if config.features == "auto":
        return None
    return [Feature(name=name, **feature.model_dump()) for name, feature in config.features.items()]


def build_network(config: Config, tasks: Sequence[Task], inputs: Inputs) -> Network:
    """The network for encoded rows.

    Raises:
        UserError: what its parts refuse.
    """
    c = config.network
    layers = Layers(dropout=c.dropout, norm=c.norm, activation=c.activation, residual=c.residual)
    first = build_embedding(c, inputs)
    places = dict(zip(inputs.names, first.feature_slices(), strict=True)) if inputs.names else {}
    embedding: Embedding | PerTaskEmbedding = first
    if ARCHITECTURES.find(c.sharing.kind).separate:
        embedding = PerTaskEmbedding(
            [first, *(build_embedding(c, inputs) for _ in tasks[1:])], [task.name for task in tasks]
        )
    try:
        sharing = ARCHITECTURES.make(
            c.sharing.kind,
            c.sharing.values,
            in_features=embedding.out_features,
            tasks=[task.name for task in tasks],
            features=places,
            layers=layers,
        )
    except UserError as error:
        raise UserError([f"network.sharing: {problem}" for problem in error.problems]) from None
    fork = build_fork(config.balance, tasks, parameters=sum(p.numel() for p in sharing.shared_parameters()))
    towers = Towers(tasks, sharing.out_features, c.towers.hidden, layers)
    return Network(embedding, sharing, fork, towers, at=config.balance.at)


def build_embedding(config: NetworkConfig, inputs: Inputs) -> Embedding:
    """From encoded rows to features.

    Raises:
        UserError: what becomes of numbers, or how features meet, is refused.
    """
    numbers, interaction = config.numbers, config.interaction
    try:
        return Embedding(
            inputs.rows,
            inputs.widths,
            inputs.numbers,
            lists=inputs.lists,
            quantiles=inputs.quantiles,
            numeric=lambda grids: NUMBERS.make(numbers.kind, numbers.values, quantiles=grids),
            interaction=lambda fields: INTERACTIONS.make(interaction.kind, interaction.values, fields=fields),
            sparse_above=config.embedding.sparse_above,
        )
    except UserError as error:
        raise UserError([f"network: {problem}" for problem in error.problems]) from None


def build_method(config: Chosen, table: Registry[M], tasks: Sequence[Task], *, parameters: int) -> M:
    """A balancer, given its options in the config and what the network knows."""
    return make_method(
        table,
        config.kind,
        config.values,
        tasks=[task.name for task in tasks],
        exponents=[task.exponent for task in tasks],
        parameters=parameters,
    )


def build_objective(config: BalanceConfig, tasks: Sequence[Task]) -> ObjectiveBalancer:
    """What merges the losses.

    Raises:
        UserError: an option out of range.
    """
    try:
        return build_method(config.objective, OBJECTIVES, tasks, parameters=0)
    except UserError as error:
        raise UserError([f"balance.objective: {problem}" for problem in error.problems]) from None


def build_fork(config: BalanceConfig, tasks: Sequence[Task], *, parameters: int) -> Fork:
    """What splits the trunk, with the method that balances gradients there, if there is one.

    Raises:
        UserError: an option out of range, or a method whose extra is not installed.
    """
    try:
        balancer = None
        if config.gradients is not None:
            balancer = build_method(config.gradients, GRADIENTS, tasks, parameters=parameters)
        return Fork(len(tasks), balancer, update_every=config.update_every)
    except UserError as error:
        raise UserError([f"balance.gradients: {problem}" for problem in error.problems]) from None


def build_optimizers(config: OptimizerConfig, network: Network, objective: ObjectiveBalancer) -> list[Optimizer]:
    """The optimiser, with a group for each subnet, and one more where there are row-sparse tables.

    Raises:
        UserError: a subnet pattern that matches nothing.
    """
    owners = network.parameters_by_subnet()
    balance = owners.get("balance", []) + list(objective.parameters())
    if balance:
        owners["balance"] = balance
    overrides = {
        pattern: GroupOptions(
            lr=c.lr, weight_decay=c.weight_decay, schedule=build_schedule(c.schedule) if c.schedule else None
        )
        for pattern, c in config.subnets.items()
    }
    try:
        groups = Subnets([network, objective], owners).groups(
            lr=config.lr,
            weight_decay=config.weight_decay,
            schedule=build_schedule(config.schedule),
            overrides=overrides,
        )
    except UserError as error:
        raise UserError([f"optimizer.subnets: {problem}" for problem in error.problems]) from None
    fused: dict[str, Any] = {"fused": True} if next(network.parameters()).device.type in ("cpu", "cuda") else {}
    long = {id(table) for table in network.embedding.row_sparse()}
    dense = _part(groups, lambda parameter: id(parameter) not in long)
    sparse = _part(groups, lambda parameter: id(parameter) in long)
    optimizers: list[Optimizer] = []
    match config.name:
        case "adamw":
            optimizers.append(AdamW(dense, **fused))
        case "adam":
            optimizers.append(Adam(dense, **fused))
        case "sgd":
            optimizers.append(SGD(dense, momentum=config.momentum, **fused))
    if sparse:
        optimizers.append((RowAdam if config.rows == "adam" else RowAdagrad)(sparse))
    return optimizers


def _part(groups: Sequence[dict[str, Any]], belongs: Callable[[nn.Parameter], bool]) -> list[dict[str, Any]]:
    """The groups with the parameters that belong, without those that none is left of."""
    parts = [group | {"params": [p for p in group["params"] if belongs(p)]} for group in groups]
    return [group for group in parts if group["params"]]


def build_schedule(config: ScheduleConfig) -> Schedule:
    """How a learning rate moves."""
    match config:
        case ConstantConfig():
            return Constant()
        case WarmupCosineConfig(warmup=warmup, final=final):
            return WarmupCosine(warmup=warmup, final=final)
        case _:
            assert_never(config)


def pick_device(config: TrainingConfig) -> torch.device:
    """The device asked for; under `auto` cuda, then mps, then cpu.

    Raises:
        UserError: the device is not there; float16 without cuda.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(n for n, there in present.items() if there) if config.device == "auto" else config.device
    if not present[name]:
        there = ", ".join(n for n, is_there in present.items() if is_there)
        raise UserError(f"training.device: {name} is not available here; available: {there}")
    if config.amp == "fp16" and name != "cuda":
        raise UserError(f"training.amp: fp16 needs cuda (gradients are scaled there); on {name} use bf16 or none")
    return torch.device(name)


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
    asked = [config.network.sharing.values.get(option) for option in ("domain", "prior")]
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
    """Make a network with the least of rows, and the optimisers for it; returns the network.

    Raises:
        UserError: a subnet pattern that matches nothing; a network that this machine has no memory for.
    """
    check_memory(config, inputs, lambda config, inputs: build_network(config, tasks, inputs))
    network, objective = least_network(config, tasks, inputs)
    build_optimizers(config.optimizer, network, objective)
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
