"""Learning rates of subnets, where a variant lacks some of those that the config names."""

from collections.abc import Collection
from fnmatch import fnmatchcase

from trunkline.assembly.checks import least_network
from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.nn.inputs import Inputs
from trunkline.optim.param_groups import BALANCE


def with_rates(config: Config, patterns: Collection[str]) -> Config:
    """The config with the rates of these patterns alone."""
    subnets = {pattern: rate for pattern, rate in config.optimizer.subnets.items() if pattern in patterns}
    return config.model_copy(update={"optimizer": config.optimizer.model_copy(update={"subnets": subnets})})


def matched(config: Config, inputs: Inputs) -> set[str]:
    """The patterns that match a subnet of this config's network."""
    network, objective = least_network(config, build_tasks(config), inputs)
    owners = list(network.parameters_by_subnet())
    if list(objective.parameters()):
        owners.append(BALANCE)
    return {pattern for pattern in config.optimizer.subnets if any(fnmatchcase(owner, pattern) for owner in owners)}
