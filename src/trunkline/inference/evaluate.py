"""Evaluation: raw outputs and scores over a whole store."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from trunkline.inference.calibration import Calibrators
from trunkline.metrics import Scores, score
from trunkline.network import Network, evaluating
from trunkline.tables import Batches
from trunkline.tasks import Binary, Task, joint

AMP = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, amp: str) -> AbstractContextManager[object]:
    """Where matrix products run in half precision, if `amp` asks for it."""
    return torch.autocast(device.type, dtype=AMP[amp]) if amp in AMP else nullcontext()


@torch.inference_mode()
def raw_outputs(network: Network, batches: Batches, device: torch.device, *, amp: str = "none") -> dict[str, Tensor]:
    """`{task: [N, outputs]}` float32 of the towers, on the CPU for all rows, in order; each part's mode is kept."""
    parts: dict[str, list[Tensor]] = {task.name: [] for task in network.tasks}
    with evaluating(network):
        for batch in batches.ordered():
            moved = batch.to(device)
            with autocast(device, amp):
                raws = network(moved.ids, moved.numbers, moved.lists)
            for name, raw in raws.items():
                parts[name].append(raw.float().cpu())
    return {name: torch.cat(raws) for name, raws in parts.items()}


def evaluate(
    network: Network,
    batches: Batches,
    device: torch.device,
    *,
    amp: str = "none",
    calibrators: Calibrators | None = None,
) -> Scores:
    """All metrics of all tasks; see `scores`."""
    rows = batches.store.rows
    raws = raw_outputs(network, batches, device, amp=amp)
    return scores(network.tasks, raws, rows.labels, rows.weights, calibrators=calibrators)


def final_outputs(
    tasks: Sequence[Task], raws: Mapping[str, Tensor], calibrators: Calibrators | None = None
) -> dict[str, Tensor]:
    """The raw outputs from which estimates are made: joint in a task's `space`, then calibrated."""
    made = joint(tasks, raws)
    return made | {name: calibrate(made[name]) for name, calibrate in (calibrators or {}).items()}


def scores(
    tasks: Sequence[Task],
    raws: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    *,
    calibrators: Calibrators | None = None,
) -> Scores:
    """All metrics of all tasks, of their conditional probabilities and of their joint ones.

    Where `buy` has `space: click`, `buy` stands for the joint probability over all rows and `buy|click` for the tower's
    own over the rows with a click. Where a binary `buy` has `where: click`, `buy` stands for the latter and `click&buy`
    for the product with p(click) over all rows in which both are known. Those two are as the towers have them,
    uncalibrated.

    Args:
        tasks: the tasks.
        raws: `{task: [N, outputs]}` of the towers.
        labels: `{task: [N]}`, in each task's sample space.
        weights: `{task: [N]}` of the tasks that have them.
        calibrators: corrections of the estimates.
    """
    made = final_outputs(tasks, raws, calibrators)
    found: Scores = {}
    for task in tasks:
        label, weight = labels[task.name], weights.get(task.name)
        found[task.name] = score(task, made[task.name], label, weight)
        if task.space is not None:
            inside = torch.where(labels[task.space] == 1, label, torch.nan)
            found[f"{task.name}|{task.space}"] = score(task, raws[task.name], inside, weight)
        if task.where is not None and isinstance(task, Binary):
            chain = _chain(task, tasks)
            together = labels[chain[0]]
            for name in chain[1:]:
                together = torch.where(together == 1, labels[name], together)
            product = joint(_as_spaces(tasks), raws)[task.name]
            found["&".join(chain)] = score(task, product, together, weight)
    return found


def _chain(task: Task, tasks: Sequence[Task]) -> list[str]:
    """The tasks that must have happened, outermost first, and the task itself."""
    outer = next((other for other in tasks if other.name == task.where), None)
    return [*(_chain(outer, tasks) if outer is not None else ()), task.name]


def _as_spaces(tasks: Sequence[Task]) -> list[Task]:
    """The same tasks with every binary one's `where` read as a `space`."""
    return [
        replace(task, where=None, space=task.where) if task.where is not None and isinstance(task, Binary) else task
        for task in tasks
    ]
