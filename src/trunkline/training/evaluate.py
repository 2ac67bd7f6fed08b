"""Raw outputs and scores over a whole store."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from trunkline.network import Network
from trunkline.tables import Batches
from trunkline.training.metrics import Scores, score

AMP = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, amp: str) -> AbstractContextManager[object]:
    """Where matrix products run in half precision, if `amp` asks for it."""
    return torch.autocast(device.type, dtype=AMP[amp]) if amp in AMP else nullcontext()


@torch.inference_mode()
def raw_outputs(network: Network, batches: Batches, device: torch.device, *, amp: str = "none") -> dict[str, Tensor]:
    """`{task: [N, outputs]}` float32 on the CPU for all rows, in order; the network's mode is put back."""
    training = network.training
    network.eval()
    parts: dict[str, list[Tensor]] = {task.name: [] for task in network.tasks}
    for batch in batches.ordered():
        moved = batch.to(device)
        with autocast(device, amp):
            raws = network(moved.ids, moved.numbers, moved.lists)
        for name, raw in raws.items():
            parts[name].append(raw.float().cpu())
    network.train(training)
    return {name: torch.cat(raws) for name, raws in parts.items()}


def evaluate(network: Network, batches: Batches, device: torch.device, *, amp: str = "none") -> Scores:
    """All metrics of all tasks."""
    rows = batches.store.rows
    return scores(network, raw_outputs(network, batches, device, amp=amp), rows.labels, rows.weights)


def scores(
    network: Network, raws: Mapping[str, Tensor], labels: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> Scores:
    """All metrics of all tasks, from raw outputs `[N, outputs]`, labels `[N]` and, where there are any, weights."""
    return {
        task.name: score(task, raws[task.name], labels[task.name], weights.get(task.name)) for task in network.tasks
    }
