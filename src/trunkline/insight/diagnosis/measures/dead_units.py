"""Dead units: a ReLU holds them at 0 whatever the row."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from trunkline.network import Network, evaluating
from trunkline.tables import Batches, Store

ROWS = 256
"""In one pass: few enough for stacked experts to run as layers, which can be listened to."""


@final
@dataclass(frozen=True)
class Layer:
    """One layer that ends in a ReLU.

    Attributes:
        subnet: whose it is.
        index: which of the subnet's, from 0.
        dead: units that were 0 in every row.
        units: how many it has.
        rows: how many rows were looked at.
    """

    subnet: str
    index: int
    dead: int
    units: int
    rows: int


@torch.no_grad()
def dead_units(network: Network, store: Store) -> list[Layer]:
    """The ReLU layers of a network, and how many of their units no row of a store wakes."""
    owner = {id(p): subnet for subnet, parameters in network.parameters_by_subnet().items() for p in parameters}
    alive: dict[tuple[str, int], Tensor] = {}
    last, passed = [""], dict[str, int]()

    def owned(module: nn.Module, inputs: Any, output: Any) -> None:
        last[0] = owner[id(next(module.parameters(recurse=False)))]

    def ended(module: nn.Module, inputs: Any, output: Tensor) -> None:
        key = last[0], passed.get(last[0], 0)
        passed[last[0]] = key[1] + 1
        woken = (output > 0).any(0).flatten()
        alive[key] = alive[key] | woken if key in alive else woken

    handles = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            handles.append(module.register_forward_hook(ended))
        elif any(id(p) in owner for p in module.parameters(recurse=False)):
            handles.append(module.register_forward_hook(owned))
    device = next(network.parameters()).device
    try:
        with evaluating(network):
            for batch in Batches(store=store, size=ROWS).ordered():
                passed.clear()
                moved = batch.to(device)
                network(moved.ids, moved.numbers, moved.lists)
    finally:
        for handle in handles:
            handle.remove()
    return [
        Layer(subnet, index, int((~woken).sum()), len(woken), len(store)) for (subnet, index), woken in alive.items()
    ]
