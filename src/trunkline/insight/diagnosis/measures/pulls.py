"""Gradient norms and cosines of the tasks in what they share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trunkline.balance import ObjectiveBalancer
from trunkline.network import Network, evaluating
from trunkline.tables import Batch

Pulls = dict[str, Tensor]
"""`{subnet: [T, T]}` float64: inner products of the tasks' gradients, of subnets that two tasks' gradients reach."""


def pulls(network: Network, objective: ObjectiveBalancer, batch: Batch) -> Pulls:
    """The tasks' gradients over each subnet that they share, weighed as the training would weigh them.

    The fork is gone round, so that its state stays as it is; the weights that it last gave count. Dropout is off.

    Args:
        network: on the batch's device.
        objective: whose weights the losses have.
        batch: training rows.
    """
    names = [task.name for task in network.tasks]

    def copied(*cut: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        return (cut,) * len(names)

    with evaluating(network):
        x = network.embedding(batch.ids, batch.numbers, batch.lists)
        raws = network.towers(network.sharing(x, copied, batch.ids))
    losses, active = network.losses(raws, batch.labels, batch.weights)
    weights = objective.evaluate(losses.detach(), active)[1] * network.fork.weights.to(losses)
    owners = {
        subnet: [p for p in parameters if p.requires_grad]
        for subnet, parameters in network.parameters_by_subnet().items()
        if subnet != "balance"
    }
    flat = [parameter for parameters in owners.values() for parameter in parameters]
    gradients: list[dict[int, Tensor]] = []
    for loss, there in zip(losses, active.tolist(), strict=True):
        found: Sequence[Tensor | None] = [None] * len(flat)
        if there and loss.requires_grad:
            found = torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True)
        gradients.append({id(p): _dense(g) for p, g in zip(flat, found, strict=True) if g is not None})
    products = {subnet: _products(parameters, gradients) for subnet, parameters in owners.items()}
    scale = weights.double().cpu()
    scaled = {subnet: product * scale[:, None] * scale[None, :] for subnet, product in products.items()}
    return {subnet: product for subnet, product in scaled.items() if int((product.diagonal() > 0).sum()) > 1}


def _dense(gradient: Tensor) -> Tensor:
    """The values of a gradient; of a row-sparse one those of the batch's rows, which are the same for every task."""
    return (gradient.coalesce().values() if gradient.is_sparse else gradient).detach()


def _products(parameters: Sequence[nn.Parameter], gradients: Sequence[dict[int, Tensor]]) -> Tensor:
    product = torch.zeros(len(gradients), len(gradients), dtype=torch.float64)
    for parameter in parameters:
        present = [t for t, found in enumerate(gradients) if id(parameter) in found]
        if present:
            rows = torch.stack([gradients[t][id(parameter)].flatten().float() for t in present])
            place = torch.tensor(present)
            product[place[:, None], place[None, :]] += (rows @ rows.T).double().cpu()
    return product
