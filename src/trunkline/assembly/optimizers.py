"""Building the optimisers, their parameter groups and learning rate schedules."""

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from trunkline.balance import ObjectiveBalancer
from trunkline.config import (
    ConstantConfig,
    OptimizerConfig,
    ScheduleConfig,
    WarmupCosineConfig,
)
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.optim.param_groups import GroupOptions, Subnets
from trunkline.optim.rowwise import RowAdagrad, RowAdam
from trunkline.optim.schedules import Constant, Schedule, WarmupCosine


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
        optimizers.append((RowAdam if config.sparse_optimizer == "adam" else RowAdagrad)(sparse))
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
