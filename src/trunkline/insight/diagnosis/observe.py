"""Observing a brief training, or a run that is there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from trunkline.balance import ObjectiveBalancer, RevisedUncertainty, Uncertainty
from trunkline.config import Config
from trunkline.inference.evaluate import evaluate, raw_outputs
from trunkline.inference.gating import gate_facts
from trunkline.insight.diagnosis.findings.observations import Judged, Observations
from trunkline.insight.diagnosis.measures.dead_units import dead_units
from trunkline.insight.diagnosis.measures.keys import keyed_columns, sampled
from trunkline.insight.diagnosis.measures.missing import missing_shares
from trunkline.insight.diagnosis.measures.one_feature import one_feature_scores
from trunkline.insight.diagnosis.measures.pulls import Pulls, pulls
from trunkline.insight.diagnosis.measures.repeats import repeats
from trunkline.insight.diagnosis.measures.shift import stability_index, unseen_share
from trunkline.insight.diagnosis.measures.variety import constant_columns, single_shares
from trunkline.insight.short_run import ShortRun, first_batches
from trunkline.network import Network
from trunkline.tables import Batch, Batches, Encoder, Store
from trunkline.tasks import Binary, Task
from trunkline.training.loop import Loop

STEPS = 300
"""Of a brief training: the balance of the tasks shows within tens of steps, dead units within a hundred."""
PROBES = 40
"""Steps of it, evenly spread, at which the tasks' gradients are taken apart."""
UNSETTLED = 0.1
"""Share of the steps, the first, in which gradients say more about the start than about the tasks."""
SCORES = 10
"""Moments of the training at which the validation rows are scored."""
GATED_ROWS = 4096
"""Validation rows whose gates are looked at."""


def observe_training(trial: ShortRun, steps: int) -> Observations:
    """Train briefly and look: at gradients on the way, and at the network in the end.

    Args:
        trial: what to train.
        steps: how many.
    """
    steps = trial.steps(steps)
    first = round(UNSETTLED * steps)
    probed = {first + (steps - first) * i // PROBES for i in range(PROBES)}
    scored = {round(steps * (i + 1) / SCORES) - 1 for i in range(SCORES)}
    tasks = tuple(task.name for task in trial.data.labels.tasks)
    seen, curves = list[Pulls](), dict[str, list[float]]()
    with trial.started(steps=steps) as loop:
        for step, batch in enumerate(first_batches(loop, steps)):
            if step in probed:
                seen.append(pulls(loop.network, loop.objective, batch))
            losses, _ = loop.step(batch)
            broken = tuple(name for name, fine in zip(tasks, losses.isfinite().tolist(), strict=True) if not fine)
            if broken:
                rows = observe_rows(trial.data.encoder, trial.data.labels.tasks, trial.data.stores)
                return replace(_made(trial.config, tasks, seen, loop.objective), broken=(broken, step), **rows)
            if loop.valid is not None and step in scored:
                for name, score in validation_scores(loop).items():
                    curves.setdefault(name, []).append(score)
        network = observe_network(loop.network, trial.data.stores, trial.config)
        rows = observe_rows(trial.data.encoder, trial.data.labels.tasks, trial.data.stores)
        whole = None if loop.valid is None else curves
        return replace(_made(trial.config, tasks, seen, loop.objective), curves=whole, **network, **rows)


def _made(config: Config, tasks: tuple[str, ...], seen: Sequence[Pulls], objective: ObjectiveBalancer) -> Observations:
    return Observations(config=config, tasks=tasks, pulls=stacked(seen), sigma=learned_sigma(tasks, objective))


def stacked(seen: Sequence[Pulls]) -> dict[str, torch.Tensor]:
    """`{subnet: [P, T, T]}` of the subnets that were shared in all P steps; steps with an overflow are left out."""
    seen = [one for one in seen if all(bool(product.isfinite().all()) for product in one.values())]
    shared = [subnet for subnet in (seen[0] if seen else ()) if all(subnet in one for one in seen)]
    return {subnet: torch.stack([one[subnet] for one in seen]) for subnet in shared}


def learned_sigma(tasks: Sequence[str], objective: ObjectiveBalancer) -> dict[str, float] | None:
    """σ of each task, of an objective that learns it."""
    if not isinstance(objective, (Uncertainty, RevisedUncertainty)):
        return None
    return dict(zip(tasks, objective.sigma().tolist(), strict=True))


@torch.no_grad()
def validation_scores(loop: Loop) -> dict[str, float]:
    """Each task's loss over the validation rows, with a minus; tasks without one that is a number are left out."""
    assert loop.valid is not None
    rows = loop.valid.store.rows
    raws = raw_outputs(loop.network, loop.valid, loop.device)
    losses, active = loop.network.losses(raws, rows.labels, rows.weights)
    known = zip(loop.network.tasks, losses.tolist(), active.tolist(), strict=True)
    return {task.name: -loss for task, loss, there in known if there and math.isfinite(loss)}


def observe_network(network: Network, stores: Mapping[str, Store], config: Config) -> dict[str, Any]:
    """What a trained network does with the validation rows; with the training rows where there are none.

    Args:
        network: the network.
        stores: of each part.
        config: of the training.
    """
    store = stores.get("valid", stores["train"])
    device = next(network.parameters()).device
    some = store.rows.take(slice(0, GATED_ROWS)).to(device)
    gates = gate_facts(network.gates(some.ids, some.numbers, some.lists))
    seen: dict[str, Any] = {"layers": dead_units(network, store), "gates": gates or None}
    if "valid" in stores:
        scores = evaluate(network, Batches(store=store, size=config.training.batch_size), device)
        seen["judged"] = {
            task.name: _judged(store.rows, task.name, scores[task.name]["auc"])
            for task in network.tasks
            if isinstance(task, Binary)
        }
    return seen


def _judged(rows: Batch, task: str, auc: float | int | None) -> Judged:
    label = rows.labels[task]
    return Judged(auc, int((label == 1).sum()), int((label == 0).sum()))


def observe_rows(encoder: Encoder, tasks: tuple[Task, ...], stores: Mapping[str, Store]) -> dict[str, Any]:
    """What the rows say without any network: of each column's values, alone, in time, and where they are missing.

    Args:
        encoder: of the rows.
        tasks: with their labels.
        stores: of each part.
    """
    parts = {part: sampled(store) for part, store in stores.items()}
    later = [part for part in parts if part != "train"]
    seen: dict[str, Any] = {
        "constants": constant_columns(encoder, stores["train"]),
        "missing": missing_shares(encoder, parts),
        "singles": single_shares(encoder, stores["train"]),
    }
    if not later:
        return seen
    alone, unseen, shifts = dict[str, Any](), dict[str, Any](), dict[str, Any]()
    for column in keyed_columns(encoder, parts):
        alone[column.name] = one_feature_scores(column, later[0], tasks, parts)
        shares = {part: unseen_share(column, part) for part in parts}
        known = {part: share for part, share in shares.items() if share is not None}
        if known:
            unseen[column.name] = known
        # What lies later in time has other moments, by construction.
        if column.kind != "datetime":
            shifts[column.name] = {part: stability_index(column, part) for part in later}
    return seen | {"alone": alone, "unseen": unseen, "shifts": shifts, "repeats": repeats(encoder, stores)}
