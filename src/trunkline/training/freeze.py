"""Subnets with a learning rate of 0: they stay as they are, to the bit."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from trunkline.network import Network
from trunkline.subnets import BALANCE


def freeze(optimizers: Sequence[Optimizer]) -> None:
    """No gradient is computed for what has a rate of 0, unless everything has."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    if any(group["base_lr"] for group in groups):
        for group in groups:
            for parameter in group["params"] if group["base_lr"] == 0 else ():
                parameter.requires_grad_(False)


def train_mode(network: nn.Module) -> None:
    """Training mode, except for the batch normalisation of parts that are frozen: its statistics stay as they are."""
    network.train()
    for part in network.modules():
        parameters = list(part.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            for module in part.modules():
                if isinstance(module, _NormBase):
                    module.training = False


def learning(network: Network) -> Tensor:
    """Which tasks' losses can teach anything: `[T]` boolean.

    A task learns through the embedding, through what lies before the cut, and through its own subnets; its loss is left
    out of the objective where all of these are frozen.
    """
    names = [task.name for task in network.tasks]
    owners = network.owners()
    before = {id(parameter) for parameter in network.sharing.before_cut()}
    found = []
    for name in names:
        others = tuple(f".{other}" for other in names if other != name)
        reached = [
            parameter
            for subnet, parameters in owners.items()
            for parameter in parameters
            if subnet != BALANCE and (not subnet.endswith(others) or id(parameter) in before)
        ]
        found.append(any(parameter.requires_grad for parameter in reached))
    return torch.tensor(found)
