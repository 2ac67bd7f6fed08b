"""Diagnosis of a training: findings, and the line of the config that would change each."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, final

from trunkline.assembly.balance import build_objective
from trunkline.assembly.optimizers import build_optimizers
from trunkline.assembly.tasks import build_features
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.inference.model import Model
from trunkline.insight.diagnosis.findings import DETECTORS, QUALITY, Finding, Observations
from trunkline.insight.diagnosis.measures.pulls import pulls
from trunkline.insight.diagnosis.observe import (
    PROBES,
    STEPS,
    learned_sigma,
    observe_network,
    observe_rows,
    observe_training,
    stacked,
)
from trunkline.insight.diagnosis.record import Record, read_record, write_record
from trunkline.insight.diagnosis.telling import told
from trunkline.insight.diagnosis.trials import try_changes
from trunkline.insight.quality.assess import assess
from trunkline.insight.short_run import ShortRun
from trunkline.preparation.data import Data, prepare
from trunkline.preparation.partition import refuse_databases
from trunkline.random_state import isolated_random
from trunkline.runs.folder import RunFolder
from trunkline.runs.tensors import load_into, read_tensors
from trunkline.tables import Batches
from trunkline.tables.frames import as_polars
from trunkline.training.freeze import freeze

OPTIONAL = ("gates", "sigma")
"""What a network or an objective may have nothing of."""
BRIEF = "what the estimates are worth, of which a brief training says little: diagnose the run"


@final
@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        findings: the weightiest first.
        looked: at what.
        skipped: what could not be looked at, and at last why.
    """

    findings: tuple[Finding, ...]
    looked: tuple[str, ...]
    skipped: tuple[str, ...]

    def to_json(self) -> str:
        """Everything, as indented JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        lines = told(self.findings)
        lines += [] if self.findings else ["nothing found"]
        lines.append(f"looked at: {'; '.join(self.looked)}")
        if self.skipped:
            lines.append(f"not looked at: {'; '.join(self.skipped)}")
        return "\n".join(lines)


def diagnose(
    source: Config | Mapping[str, Any] | str | Path | Model,
    *,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    steps: int = STEPS,
    seconds: float = 0.0,
    overrides: Mapping[str, Any] | None = None,
    on_trial: Callable[[str], None] = lambda change: None,
) -> Diagnosis:
    """Find what is wrong with a config, by training it briefly, or with a run.

    Args:
        source: a config as `fit` takes it, or a run: its folder, or its model.
        train: training rows as a polars or pandas frame, instead of the config's files.
        valid: validation rows, likewise.
        test: test rows, likewise.
        steps: of the brief training.
        seconds: for trying on a run's validation rows what findings advise, by further trainings; 0 tries none.
        overrides: config values by dotted path; of a config alone.
        on_trial: called with a change that is about to be tried.

    Raises:
        UserError: what is wrong with config and rows; no step; overrides for a run.

    Examples:
        >>> import polars as pl
        >>> rows = pl.DataFrame({"x": [0.0, 1.0] * 200, "click": [0, 1] * 200, "buy": [0, 1, 0, 0] * 100})
        >>> config = {"tasks": {"click": "binary", "buy": "binary"}, "training": {"batch_size": 50}}
        >>> found = diagnose(config, train=rows[:300], valid=rows[300:], steps=10)
        >>> found.findings[0].kind, found.findings[0].subject
        ('leak', 'x')
    """
    frames = {part: frame for part, frame in (("train", train), ("valid", valid), ("test", test)) if frame is not None}
    if steps < 1:
        raise UserError(f"steps {steps}: a brief training takes at least 1")
    if isinstance(source, Model):
        source = source.path
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        if overrides:
            raise UserError(f"{source} is a run, which is done: there is nothing to set; diagnose its config.yaml")
        model = Model.load(source)
        data, why = _rows_of(model, frames)
        kept = read_record(model.path, model.tasks)
        observations = _observe_run(model, data, kept)
        made = _made(observations, why)
        found = list(made.findings) if kept is None else kept.tell(made.findings)
        if data is not None:
            todo = [one for one in found if one.changes and not one.tried]
            tried = try_changes(todo, model, data.stores, seconds=seconds, frames=frames, on_trial=on_trial)
            found = [
                next((new for new in tried if (new.kind, new.subject) == (one.kind, one.subject)), one) for one in found
            ]
            if seconds and any(one.tried for one in tried):
                write_record(model.path, observations.quality or {}, found)
        return replace(made, findings=tuple(found))
    trial = ShortRun.make(Config.make(source, overrides=overrides), frames)
    why = "" if "valid" in trial.data.stores else "there are no validation rows"
    return _made(observe_training(trial, steps), why, brief=True)


def _made(observations: Observations, why: str, *, brief: bool = False) -> Diagnosis:
    found, looked, skipped = list[Finding](), list[str](), list[str]()
    for detector in DETECTORS:
        if getattr(observations, detector.needs) is not None:
            found += detector.find(observations)
            looked.append(detector.looks)
        elif detector.needs not in OPTIONAL and not (brief and detector.needs == QUALITY):
            skipped.append(detector.looks)
    found.sort(key=lambda finding: -finding.weight)
    reasons = [why] if skipped and why else []
    return Diagnosis(tuple(found), tuple(looked), (*skipped, *reasons, *([BRIEF] if brief else [])))


def _observe_run(model: Model, data: Data | None, kept: Record | None) -> Observations:
    """What a run shows: all of it where its rows are to be had."""
    run = RunFolder(model.path)
    tasks = tuple(task.name for task in model.network.tasks)
    objective = build_objective(model.config.balance, model.labels.tasks)
    tensors, _ = read_tensors(run.checkpoint)
    own = {name.removeprefix("objective."): t for name, t in tensors.items() if name.startswith("objective.")}
    load_into(objective, own, name=str(run.checkpoint))
    objective.to(model.device)
    curves: dict[str, list[float]] = {}
    for line in model.history:
        for task in model.network.tasks:
            score = (line.get("valid") or {}).get(task.name, {}).get(task.headline)
            if score is not None:
                curves.setdefault(task.name, []).append(score)
    observations = Observations(
        config=model.config,
        tasks=tasks,
        sigma=learned_sigma(tasks, objective),
        curves=curves or None,
        quality=None if kept is None else kept.tasks,
    )
    if data is None:
        last = [line["gates"] for line in model.history if "gates" in line][-1:]
        return replace(observations, gates=last[0] if last else None)
    if kept is None and "valid" in data.stores:
        observations = replace(observations, quality=assess(model, data.stores))
    batches = Batches(
        store=data.stores["train"], size=model.config.training.batch_size, seed=model.config.training.seed
    )
    freeze(build_optimizers(model.config.optimizer, model.network, objective))
    with isolated_random(None):
        seen = [
            pulls(model.network, objective, batch.to(model.device)) for batch in islice(batches.shuffled(0), PROBES)
        ]
    rows = observe_rows(data.encoder, data.labels.tasks, data.stores)
    network = observe_network(model.network, data.stores, model.config)
    return replace(observations, pulls=stacked(seen), **network, **rows)


def _rows_of(model: Model, frames: Mapping[str, Any]) -> tuple[Data | None, str]:
    """The run's rows, encoded as it encoded them; None, and why, where they are no longer to be had."""
    given = {part: as_polars(frame) for part, frame in frames.items()}
    try:
        refuse_databases(model.config.data, given, run=str(model.path))
        fitted = model.encoder, model.labels
        data = prepare(model.config, model.labels.tasks, build_features(model.config) or [], given, fitted=fitted)
        return data, "" if "valid" in data.stores else "there are no validation rows"
    except UserError as error:
        if given:
            raise
        return None, f"the run's rows are not there: {error.problems[0]}"
