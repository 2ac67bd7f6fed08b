"""From a config to the objects of a training: the one place where names become things."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, assert_never

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from trunkline.balance import ObjectiveBalancer
from trunkline.balance.methods import GRADIENTS, OBJECTIVES, Method, find_method, make_method
from trunkline.config import (
    BalanceConfig,
    BinaryConfig,
    Config,
    ConstantConfig,
    MethodConfig,
    MMoEConfig,
    MulticlassConfig,
    NetworkConfig,
    OptimizerConfig,
    RegressionConfig,
    ScheduleConfig,
    SharedBottomConfig,
    TrainingConfig,
    WarmupCosineConfig,
)
from trunkline.embedding import Embedding
from trunkline.errors import Problems, UserError
from trunkline.fork import Fork
from trunkline.inputs import Inputs
from trunkline.network import Network
from trunkline.rowwise import RowAdagrad, RowAdam
from trunkline.schedules import Constant, Schedule, WarmupCosine
from trunkline.sharing import MMoE, SharedBottom, Sharing
from trunkline.subnets import Rate, Subnets
from trunkline.tables import Feature
from trunkline.tasks import Binary, Multiclass, Regression, Task, check_tasks
from trunkline.towers import Towers
from trunkline.training.checkpoint import isolated_random
from trunkline.training.metrics import selection


def build_tasks(config: Config) -> list[Task]:
    """The tasks, before training rows have told classes and label units."""
    tasks: list[Task] = []
    for name, c in config.tasks.items():
        match c:
            case BinaryConfig():
                kind: type[Task] = Binary
            case MulticlassConfig():
                kind = Multiclass
            case RegressionConfig():
                kind = Regression
            case _:
                assert_never(c)
        tasks.append(
            kind(name=name, label=c.label or name, where=c.where, weight=c.weight, reads=c.reads, gradient=c.gradient)
        )
    return tasks


def build_features(config: Config) -> list[Feature] | None:
    """The features that the config names; None under `auto`."""
    if config.features == "auto":
        return None
    return [Feature(name=name, **feature.model_dump()) for name, feature in config.features.items()]


def build_network(config: Config, tasks: Sequence[Task], inputs: Inputs) -> Network:
    """The network for encoded rows."""
    c = config.network
    embedding = Embedding(
        inputs.rows, inputs.widths, inputs.numbers, lists=inputs.lists, sparse_above=c.embedding.sparse_above
    )
    sharing = build_sharing(c, embedding.out_features, tasks)
    shared = sharing.owners().get("shared", ())
    fork = build_fork(config.balance, tasks, parameters=sum(parameter.numel() for parameter in shared))
    towers = Towers(tasks, sharing.out_features, c.towers.hidden, dropout=c.dropout, norm=c.norm)
    return Network(embedding, sharing, fork, towers, at=config.balance.at)


def build_sharing(config: NetworkConfig, in_features: int, tasks: Sequence[Task]) -> Sharing:
    """What the tasks share, for features `[N, in_features]`.

    Raises:
        UserError: what the architecture refuses.
    """
    c = config.sharing
    match c:
        case SharedBottomConfig():
            return SharedBottom(in_features, c.hidden, dropout=config.dropout, norm=config.norm)
        case MMoEConfig():
            names = [task.name for task in tasks]
            return MMoE(
                in_features, names, experts=c.experts, hidden=c.hidden, dropout=config.dropout, norm=config.norm
            )
        case _:
            assert_never(c)


def build_method(config: MethodConfig, table: Mapping[str, Method], tasks: Sequence[Task], *, parameters: int) -> Any:
    """A balancer, given its options in the config and what the network knows."""
    return make_method(
        find_method(config.kind, table),
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
        objective: ObjectiveBalancer = build_method(config.objective, OBJECTIVES, tasks, parameters=0)
    except UserError as error:
        raise UserError([f"balance.objective: {problem}" for problem in error.problems]) from None
    return objective


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
    owners = network.owners()
    balance = owners.get("balance", []) + list(objective.parameters())
    if balance:
        owners["balance"] = balance
    overrides = {
        pattern: Rate(lr=c.lr, weight_decay=c.weight_decay, schedule=build_schedule(c.schedule) if c.schedule else None)
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
            # No row is read yet: one feature of each sort gives every subnet that there could be. How tasks depend on
            # one another is checked above and makes no subnet.
            apart = [replace(task, reads=(), where=None) for task in tasks]
            check_subnets(config, apart, Inputs(rows=(2,), widths=(1,), numbers=1))
    problems.raise_if_any()
    return tasks


def check_subnets(config: Config, tasks: Sequence[Task], inputs: Inputs) -> None:
    """Make a network with the least of rows, and the optimisers for it.

    Raises:
        UserError: a subnet pattern that matches nothing.
    """
    with isolated_random(None):
        lists = tuple(replace(feature, rows=min(feature.rows, 2)) for feature in inputs.lists)
        network = build_network(config, tasks, replace(inputs, rows=(2,) * len(inputs.rows), lists=lists))
        build_optimizers(config.optimizer, network, build_objective(config.balance, tasks))
