"""Rates of subnets, where a variant does not have all the subnets that the config speaks of."""

from collections.abc import Collection
from dataclasses import replace
from fnmatch import fnmatchcase

from trunkline.config import Config
from trunkline.inputs import Inputs
from trunkline.training.build import build_network, build_objective, build_tasks
from trunkline.training.checkpoint import isolated_random


def with_rates(config: Config, patterns: Collection[str]) -> Config:
    """The config with the rates of these patterns alone."""
    subnets = {pattern: rate for pattern, rate in config.optimizer.subnets.items() if pattern in patterns}
    return config.model_copy(update={"optimizer": config.optimizer.model_copy(update={"subnets": subnets})})


def matched(config: Config, inputs: Inputs) -> set[str]:
    """The patterns that match a subnet of this config's network."""
    tasks = build_tasks(config)
    with isolated_random(None):
        lists = tuple(replace(feature, rows=min(feature.rows, 2)) for feature in inputs.lists)
        network = build_network(config, tasks, replace(inputs, rows=(2,) * len(inputs.rows), lists=lists))
        owners = list(network.owners())
        if list(build_objective(config.balance, tasks).parameters()):
            owners.append("balance")
    return {pattern for pattern in config.optimizer.subnets if any(fnmatchcase(owner, pattern) for owner in owners)}
