"""The runs of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trunkline.assembly.checks import check_subnets
from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.errors import Problems
from trunkline.inference.calibration import check_calibration
from trunkline.insight.comparison.analysis import Entry, valid_score
from trunkline.insight.comparison.gbdt import TREES
from trunkline.insight.comparison.jobs import Job
from trunkline.insight.comparison.single_task import ALONE, alone_variants
from trunkline.insight.comparison.variants import Variant
from trunkline.preparation.data import Data


def check_variants(variants: Sequence[Variant], data: Data) -> None:
    """Find what could not be found before the rows were read.

    Raises:
        UserError: all of it.
    """
    problems = Problems()
    for variant in variants:
        prefix = f"{variant.label}: " if len(variants) > 1 else ""
        tasks = [
            task.with_learned(learned.learned())
            for task, learned in zip(build_tasks(variant.config), data.labels.tasks, strict=True)
        ]
        with problems.collect(prefix):
            check_subnets(variant.config, tasks, data.encoder.inputs)
        with problems.collect(prefix):
            asked = {name: task.calibrate for name, task in variant.config.tasks.items()}
            check_calibration(asked, tasks, valid="valid" in data.stores)
    for part in ("valid", "test"):
        if part not in data.stores:
            why = "epochs and networks are chosen on them" if part == "valid" else "networks are compared on them"
            problems.add(f"compare needs {part} rows: {why}; give data.{part} or a split")
    problems.raise_if_any()


def plan(variants: Sequence[Variant], seeds: Sequence[int], data: Data, folder: Path, *, trees: bool) -> list[Entry]:
    """The lines of the table to be: single-task networks, the config, its variants, and trees.

    Where rates are varied, there are several single-task networks of a task; the line has those of all settings until
    `choose` leaves the best.
    """
    runs, names = folder / "runs", [task.name for task in data.labels.tasks]

    def jobs(variant: Variant, task: str | None = None) -> list[Job]:
        return [
            Job(variant.name, seed, runs / variant.name / f"seed{seed}", _seeded(variant.config, seed), task)
            for seed in seeds
        ]

    alone = {
        name: [job for variant in alone_variants(variants, name, data.encoder.inputs) for job in jobs(variant, name)]
        for name in names
    }
    entries = [Entry(name=ALONE, label=ALONE, kind="alone", overrides={}, jobs=alone)]
    for variant in variants:
        mine = jobs(variant)
        entries.append(
            Entry(
                name=variant.name,
                label=variant.label,
                kind="network",
                overrides=variant.overrides,
                jobs=dict.fromkeys(names, mine),
            )
        )
    if trees:
        grown = {
            name: [Job(f"{TREES}.{name}", seeds[0], runs / f"{TREES}.{name}", alone[name][0].config, name, "trees")]
            for name in names
        }
        entries.append(Entry(name=TREES, label=TREES, kind="trees", overrides={}, jobs=grown))
    return entries


def choose(alone: Entry, variants: Mapping[str, Mapping[str, Any]], metrics: Mapping[str, str]) -> Entry:
    """The single-task networks with, for each task, the setting that is best on the validation rows.

    Args:
        alone: the networks of all settings.
        variants: by the name of a setting, what it changes.
        metrics: by task, its headline metric.
    """
    kept, changes = {}, {}
    for name, jobs in alone.jobs.items():
        settings = {job.network: [other for other in jobs if other.network == job.network] for job in jobs}
        scores = {key: valid_score(mine, name, metrics[name]) for key, mine in settings.items()}
        best = max(scores, key=lambda key: -float("inf") if (found := scores[key]) is None else found)
        kept[name], changes[name] = settings[best], dict(variants[best])
    return replace(alone, jobs=kept, overrides={name: change for name, change in changes.items() if change})


def _seeded(config: Config, seed: int) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})
