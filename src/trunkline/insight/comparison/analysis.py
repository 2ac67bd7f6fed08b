"""Analysis of a comparison's finished runs."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, final

import numpy as np

from trunkline.insight.comparison.jobs import Job
from trunkline.insight.comparison.near_zero import near_zero
from trunkline.insight.comparison.result import NetworkResult, TaskResult
from trunkline.insight.statistics.bootstrap import RESAMPLES, resampled
from trunkline.insight.statistics.intervals import Interval, Seeds, between_seeds, interval
from trunkline.insight.statistics.predictions import Judged, read_facts, read_predictions
from trunkline.insight.statistics.verdict import MEAN, MEAN_OF_OTHERS, verdict
from trunkline.insight.statistics.weighted import Numbers

CONFIDENCE = 0.95


@final
@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the table to be.

    Attributes:
        name: of the network.
        label: for a table.
        kind: what it is.
        overrides: what it changes in the config.
        jobs: by task its runs, one a seed; the same ones for every task of a network.
    """

    name: str
    label: str
    kind: Literal["alone", "network", "trees"]
    overrides: Mapping[str, Any]
    jobs: Mapping[str, Sequence[Job]]


@final
@dataclass(frozen=True)
class _Figures:
    """One task of one network: its metric by seed, on the test rows and the validation rows, and resampled."""

    by_seed: dict[int, float]
    fixed: bool
    valid: float | None
    resampled: Numbers

    @cached_property
    def seeds(self) -> Seeds:
        """By seed, as intervals take them."""
        return Seeds(np.array(list(self.by_seed.values())), self.fixed)


def valid_score(jobs: Sequence[Job], task: str, metric: str) -> float | None:
    """The mean over finished runs of a task's metric on the validation rows; None where it is not defined."""
    found = [_metrics(job)["valid"][task][metric] for job in jobs if job.done]
    return sum(found) / len(found) if found and None not in found else None


def analyse(
    entries: Sequence[Entry],
    judges: Mapping[str, Judged],
    rows: int,
    *,
    resamples: int = RESAMPLES,
    problems: Mapping[str, str],
) -> tuple[list[NetworkResult], int, dict[str, str]]:
    """Every figure of the table, how many verdicts its intervals are made for, and why tasks are left out of Δm.

    Args:
        entries: the single-task networks first.
        judges: the test rows by task.
        rows: how many test rows there are.
        resamples: of them.
        problems: why runs are missing, by run.
    """
    figures = _figures(entries, judges, rows, resamples)
    count = max(1, (len(entries) - 1) * (len(judges) + (len(judges) > 1)))
    tail = (1 - CONFIDENCE) / 2 / count
    left_out = dict[str, str]()
    for name, one in figures[0].items():
        if why := near_zero(one.seeds, one.resampled, [f[name].seeds for f in figures if name in f]):
            left_out[name] = why
    within_delta = [name for name in judges if name not in left_out]
    over = MEAN if not left_out else MEAN_OF_OTHERS
    found = []
    for i, entry in enumerate(entries):
        tasks = {}
        for name in judges:
            if mine := figures[i].get(name):
                others = [f[name].seeds for f in figures if name in f]
                reference = figures[0].get(name) if i else None
                change = None if reference is None else _change(mine, reference, others, tail)
                within = (1 - CONFIDENCE) / 2
                mean = interval(mine.seeds.mean, between_seeds([mine.seeds], others), mine.resampled, tail=within)
                tasks[name] = TaskResult(
                    mean=_plain(mean),
                    seeds={str(seed): value for seed, value in mine.by_seed.items()},
                    valid=mine.valid,
                    change=None if change is None else _plain(change),
                    verdict=verdict(name, change) if i else "",
                )
        delta = _delta(i, figures, within_delta, tail) if i and len(judges) > 1 and within_delta else None
        found.append(
            NetworkResult(
                name=entry.name,
                label=entry.label,
                kind=entry.kind,
                overrides=dict(entry.overrides),
                tasks=tasks,
                delta=delta,
                verdict=verdict(over, delta) if i and len(judges) > 1 else "",
                **_cost(entry),
                missing={job.name: problems.get(job.name, "not done") for job in _jobs(entry) if not job.done},
            )
        )
    return found, count, left_out if len(judges) > 1 else {}


def delta_m(values: Mapping[str, float | Numbers], reference: Mapping[str, float | Numbers]) -> Any:
    """Δm: the mean over tasks of (value - reference) / |reference| (Maninis et al. 2019, arXiv 1904.08918, eq. 4).

    Every headline metric is better when higher. Tasks whose reference is about 0 are to be left out: see `near_zero`.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = [(np.asarray(values[name]) - reference[name]) / np.abs(reference[name]) for name in reference]
        return np.mean(changes, axis=0)


def _figures(
    entries: Sequence[Entry], judges: Mapping[str, Judged], rows: int, resamples: int
) -> list[dict[str, _Figures]]:
    found: list[dict[str, _Figures]] = [{} for _ in entries]
    for name, judged in judges.items():
        values = {
            (i, job.seed): judged.read(read_predictions(job.folder))
            for i, entry in enumerate(entries)
            for job in entry.jobs.get(name, ())
            if job.done
        }
        made = resampled(judged, values, rows, resamples=resamples)
        for i, entry in enumerate(entries):
            mine = {seed: made[j, seed] for j, seed in made if j == i}
            if mine and all(math.isfinite(value) for value, _ in mine.values()):
                found[i][name] = _Figures(
                    {seed: value for seed, (value, _) in mine.items()},
                    entry.kind == "trees",
                    valid_score(entry.jobs[name], name, judged.task.headline),
                    np.mean([draws for _, draws in mine.values()], axis=0),
                )
    return found


def _change(mine: _Figures, reference: _Figures, others: Sequence[Seeds], tail: float) -> Interval:
    spread = between_seeds([mine.seeds, reference.seeds], others)
    return interval(mine.seeds.mean - reference.seeds.mean, spread, mine.resampled - reference.resampled, tail=tail)


def _delta(i: int, figures: Sequence[Mapping[str, _Figures]], names: Sequence[str], tail: float) -> Interval | None:
    """Δm of one network, with its interval."""
    whole = [j for j, tasks in enumerate(figures) if all(name in tasks for name in names)]
    if 0 not in whole or i not in whole:
        return None
    means = [{name: tasks[name].seeds.mean for name in names} if j in whole else {} for j, tasks in enumerate(figures)]

    def by_seed(j: int) -> Seeds:
        """Δm as it moves with the seed of one side, the other at its mean."""
        tasks = figures[j]
        shared = [seed for seed in tasks[names[0]].by_seed if all(seed in tasks[name].by_seed for name in names)]
        each = [{name: tasks[name].by_seed[seed] for name in names} for seed in shared]
        moved = [delta_m(values, means[0]) if j else delta_m(means[i], values) for values in each]
        return Seeds(np.array(moved, dtype=np.float64), tasks[names[0]].fixed)

    seeds = {j: by_seed(j) for j in whole}
    if not all(len(one.values) for one in seeds.values()):
        return None
    value = float(delta_m(means[i], means[0]))
    draws = [{name: figures[j][name].resampled for name in names} for j in (i, 0)]
    if not math.isfinite(value):
        return None
    return _plain(
        interval(value, between_seeds([seeds[i], seeds[0]], list(seeds.values())), delta_m(*draws), tail=tail)
    )


def _plain(one: Interval) -> Interval:
    """With numbers of Python's own, for JSON."""
    return Interval(*(None if value is None else float(value) for value in vars(one).values()))  # type: ignore[arg-type]


def _cost(entry: Entry) -> dict[str, Any]:
    """Of one seed; what trains apart is summed over the tasks."""
    apart = entry.jobs.values() if entry.kind != "network" else list(entry.jobs.values())[:1]
    cpu, seconds, parameters = 0.0, 0.0, 0
    for jobs in apart:
        done = [job for job in jobs if job.done]
        if not done:
            return {"cpu_seconds": None, "seconds": None, "parameters": None}
        metrics = [_metrics(job) for job in done]
        cpu += sum(read_facts(job.folder)["cpu_seconds"] for job in done) / len(done)
        seconds += sum(one["train_seconds"] for one in metrics) / len(done)
        parameters += metrics[0]["parameters"] or 0
    return {"cpu_seconds": round(cpu, 2), "seconds": round(seconds, 2), "parameters": parameters or None}


def _jobs(entry: Entry) -> list[Job]:
    return list({job.folder: job for jobs in entry.jobs.values() for job in jobs}.values())


def _metrics(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((job.folder / "metrics.json").read_text(encoding="utf-8"))
    return found
