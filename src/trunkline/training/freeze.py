"""Frozen subnets: those with a learning rate of 0 stay as they are, to the bit."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from trunkline.network import Network, evaluating
from trunkline.tasks import joint


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


@torch.enable_grad()
def learning(network: Network) -> Tensor:
    """Which tasks' losses can teach anything: `[T]` boolean; the others are left out of the objective.

    Whether a task's loss reaches a parameter that learns is seen in the graph of two rows of zeros, in which every
    task has copies of its own where the trunk forks.
    """
    sharing, embedding = network.sharing, network.embedding
    some = next(network.parameters())
    x = some.new_zeros(2, sharing.in_features)
    ids = torch.zeros(2, len(embedding.inputs.rows), dtype=torch.int64, device=some.device)

    def copied(*cut: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        return tuple(tuple(tensor.clone() for tensor in cut) for _ in network.tasks)

    with evaluating(network):
        raws = joint(network.tasks, network.towers(sharing(x, copied, ids)))
    behind = [p for part in (sharing, network.towers) for p in part.parameters() if p.requires_grad]
    found = []
    for task in network.tasks:
        raw = raws[task.name].sum()
        read = [
            parameter
            for subnet, parameters in embedding.parameters_by_subnet().items()
            for parameter in parameters
            if not sharing.separate or subnet.endswith(f".{task.name}")
        ]
        reached = any(parameter.requires_grad for parameter in read)
        if raw.requires_grad:
            gradients = torch.autograd.grad(raw, behind, retain_graph=True, allow_unused=True)
            reached |= any(gradient is not None for gradient in gradients)
        found.append(reached)
    return torch.tensor(found)
