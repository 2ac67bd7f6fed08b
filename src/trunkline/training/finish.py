"""Finish of a training: the selected network's calibration, thresholds, scores and curves, into the run folder."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trunkline.inference.calibration import fit_calibrators, write_calibrators
from trunkline.inference.curves import curves
from trunkline.inference.evaluate import final_outputs, raw_outputs, scores
from trunkline.inference.input_profile import measure_profile, write_profile
from trunkline.inference.model import Model
from trunkline.inference.operating_points import measure_points, write_points
from trunkline.metrics import Scores
from trunkline.preparation.data import Data
from trunkline.runs.files import write_json
from trunkline.runs.folder import RunFolder
from trunkline.tables import Batch, Batches
from trunkline.training.checkpoint import Progress
from trunkline.training.unvalidated import training_scores, warn_of_no_validation


def finish(model: Model, data: Data, run: RunFolder, progress: Progress) -> None:
    """Calibrate the model on the validation rows, score it on the held-out ones and write down all that is known.

    Args:
        model: of the selected epoch, not yet calibrated; calibrated afterwards if the config asks for it.
        data: encoded rows.
        run: the folder.
        progress: of the training that has ended.

    Raises:
        UserError: a file cannot be written.
    """
    config, device, tasks = model.config, model.device, data.labels.tasks
    c = config.training
    batches = {part: Batches(store=store, size=c.batch_size, seed=c.seed) for part, store in data.stores.items()}
    raws: dict[str, dict[str, Tensor]] = {
        part: raw_outputs(model.network, batches[part], device, amp=c.amp)
        for part in ("valid", "test")
        if part in batches
    }
    asked = {name: task.calibrate for name, task in config.tasks.items()}
    if any(kind != "none" for kind in asked.values()):
        rows = data.stores["valid"].rows
        made = final_outputs(tasks, raws["valid"])
        model.calibrators = fit_calibrators(asked, tasks, made, rows.labels, rows.weights)
        write_calibrators(run.calibration, model.calibrators)
    if "valid" in raws:
        rows = data.stores["valid"].rows
        exact = raws["valid"] if c.amp == "none" else raw_outputs(model.network, batches["valid"], device)
        made = final_outputs(tasks, {name: raw.double() for name, raw in exact.items()}, model.calibrators)
        write_points(run.points, measure_points(tasks, made, rows.labels, rows.weights))
    found = {part: _both(model, raws[part], data.stores[part].rows) for part in raws}
    if not raws:
        seen = training_scores(model.network, data.stores["train"], device, size=c.batch_size, amp=c.amp)
        found["train"] = seen, {}
    write_profile(run.profile, measure_profile(data.encoder, data.stores))
    write_json(run.curves, _drawn(model, raws, data))
    write_json(
        run.metrics,
        {
            **{part: after for part, (after, _) in found.items()},
            **({"uncalibrated": {part: before for part, (_, before) in found.items()}} if model.calibrators else {}),
            "epochs": progress.epoch,
            "selected_epoch": None if progress.best_epoch is None else progress.best_epoch + 1,
            "select": c.select,
            "score": progress.best_score,
            "train_seconds": round(progress.seconds, 3),
            "rows_per_second": round(progress.rows / progress.seconds, 1) if progress.seconds else None,
            **({"bad_batches": progress.bad_batches} if c.bad_batches else {}),
            "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        },
    )
    warn_of_no_validation(batches)


def _both(model: Model, raws: Mapping[str, Tensor], rows: Batch) -> tuple[Scores, Scores]:
    """Scores with every calibration, and of the calibrated tasks without."""
    tasks = model.network.tasks
    after = scores(tasks, raws, rows.labels, rows.weights, calibrators=model.calibrators)
    before = scores(tasks, raws, rows.labels, rows.weights) if model.calibrators else {}
    return after, {name: before[name] for name in model.calibrators}


def _drawn(model: Model, raws: Mapping[str, Mapping[str, Tensor]], data: Data) -> dict[str, Any]:
    """What a report draws: curves of each part's tasks, and how many rows and labels there are."""
    tasks = model.network.tasks
    drawn: dict[str, Any] = {"rows": {part: len(store) for part, store in data.stores.items()}, "labels": {}}
    for part, store in data.stores.items():
        labels = {task.name: store.rows.labels[task.name] for task in tasks}
        drawn["labels"][part] = {name: _label_facts(label) for name, label in labels.items()}
        if part in raws:
            made = final_outputs(tasks, raws[part], model.calibrators)
            weights = store.rows.weights
            drawn[part] = {t.name: curves(t, made[t.name], labels[t.name], weights.get(t.name)) for t in tasks}
    return drawn


def _label_facts(label: Tensor) -> dict[str, float | int | None]:
    known = len(label) - int(label.isnan().sum())
    return {"observed": known, "mean": float(torch.nansum(label, dtype=torch.float64)) / known if known else None}
