"""Comparison of a config and its variants with single-task networks, over several seeds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trunkline.assembly.checks import check_config
from trunkline.assembly.device import pick_device
from trunkline.assembly.tasks import build_features
from trunkline.config import Config
from trunkline.config.here_alone import workers
from trunkline.errors import Problems
from trunkline.insight.comparison.analysis import CONFIDENCE, Entry, analyse, delta_m
from trunkline.insight.comparison.gbdt import check_trees
from trunkline.insight.comparison.job_worker import MODULE
from trunkline.insight.comparison.jobs import Job, of_many, run
from trunkline.insight.comparison.markdown import markdown
from trunkline.insight.comparison.near_zero import LEAST
from trunkline.insight.comparison.plan import check_variants, choose, plan
from trunkline.insight.comparison.result import Comparison, NetworkResult
from trunkline.insight.comparison.shared_data import facts, judges, shared
from trunkline.insight.comparison.shared_folder import ENCODER, begin
from trunkline.insight.comparison.single_task import alone_variants
from trunkline.insight.comparison.variants import Variant, make_variants
from trunkline.insight.parallel.pool import Event, cores, run_apart, run_here
from trunkline.insight.statistics.bootstrap import RESAMPLES
from trunkline.preparation.data import check_files, prepare
from trunkline.runs.files import write_json, write_text
from trunkline.runs.folder import TemporaryFolder
from trunkline.tables.frames import as_polars
from trunkline.training.fit import resolved


def compare(
    config: Config | Mapping[str, Any] | str | Path,
    *,
    vary: Mapping[str, Sequence[Any]] | None = None,
    seeds: int = 3,
    out: str | Path | None = None,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    overrides: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    with_trees: bool = False,
    resamples: int = RESAMPLES,
    on_start: Callable[[Sequence[Job], int], None] | None = None,
    on_event: Callable[[Event[Job]], None] | None = None,
) -> Comparison:
    """Train the config, its variants and a network for each task alone, and say for which tasks sharing pays.

    All runs read the same encoded rows. Epochs, and rates of the single-task networks where rates are varied, are
    chosen on the validation rows; each run scores the test rows once. A run that is done is never done again: called
    again with the same folder, the comparison goes on where it was stopped, or takes in further variants and seeds.

    Args:
        config: a YAML file, a mapping or a `Config`.
        vary: values by dotted path; every combination is a variant.
        seeds: how many; the first is the config's own.
        out: folder of the comparison; without one it lives in a temporary folder and is gone afterwards.
        train: training rows as a frame, instead of the config's files.
        valid: validation rows, likewise.
        test: test rows, likewise.
        overrides: config values by dotted path, for all variants.
        jobs: runs at once, each in a process of its own; as many as there are cores by default, one where there is a
            GPU. One at once is trained in this process.
        with_trees: whether gradient-boosted trees for each task are compared too.
        resamples: of the test rows.
        on_start: called once, before the first run, with all runs and how many of them are done already.
        on_event: called when an epoch or a run is done.

    Raises:
        UserError: everything wrong with config, variants and data; a folder that holds another comparison.
        KeyboardInterrupt: after Ctrl-C, with a checkpoint of every run under way.
    """
    config = Config.make(config, overrides=overrides)
    given = {"train": train, "valid": valid, "test": test}
    frames = {part: as_polars(frame) for part, frame in given.items() if frame is not None}
    problems = Problems()
    with problems.collect():
        tasks = check_config(config)
    if not problems:
        with problems.collect():
            make_variants(config, vary or {})
    for name, value in (("seeds", seeds), ("jobs", jobs), ("resamples", resamples)):
        if value is not None and value < 1:
            problems.add(f"{name} is {value}; it is at least 1")
    if with_trees:
        with problems.collect():
            check_trees()
    if problems:
        with problems.collect():
            check_files(config.data, frames)
    problems.raise_if_any()
    holder = TemporaryFolder() if out is None else None
    data = prepare(config, tasks, build_features(config), frames)
    config = of_many(resolved(config, data))
    variants = make_variants(config, vary or {}, data.encoder.inputs)
    check_variants(variants, data)
    folder = Path(out) if holder is None else holder.path / "comparison"  # type: ignore[arg-type]  # out is set here
    key = begin(folder, "comparison", config.model_dump(mode="json", exclude={"data"}), data)
    numbers = [config.training.seed + i for i in range(seeds)]
    entries = plan(variants, numbers, data, folder, trees=with_trees)

    every = {job.folder: job for entry in entries for mine in entry.jobs.values() for job in mine}
    left = [job for job in every.values() if not job.done]
    if on_start is not None:
        on_start(list(every.values()), len(every) - len(left))
    failed: dict[str, str] = {}

    def watch(event: Event[Job]) -> None:
        if event.problem is not None:
            failed[event.job.name] = event.problem
        if on_event is not None:
            on_event(event)

    encoder = folder / ENCODER
    here = cores() if pick_device(config.training).type == "cpu" else 1
    wanted = workers([variant.config for variant in variants], asked=jobs, usual=here)
    if (processes := min(wanted, len(left))) > 1:
        in_order = sorted(left, key=lambda job: (job.kind == "trees", job.task is not None, job.seed))
        common = {
            "encoder": str(encoder.resolve()),
            "config": config.model_dump(mode="json"),
            "stores": shared(data, folder / "rows", key),
        }
        run_apart(in_order, MODULE, common, watch, processes=processes)
    else:
        run_here(left, lambda job, tell: run(job, data, encoder, tell), watch)
    result = _result(entries, variants, data, numbers, resamples, failed)
    write_json(folder / "comparison.json", result.to_json())
    write_text(folder / "comparison.md", markdown(result))
    return result


def _result(
    entries: Sequence[Entry],
    variants: Sequence[Variant],
    data: Any,
    seeds: list[int],
    resamples: int,
    failed: Mapping[str, str],
) -> Comparison:
    judged, rows = judges(data), facts(data)
    metrics = {name: one.task.headline for name, one in judged.items()}
    settings = {v.name: v.overrides for name in metrics for v in alone_variants(variants, name, data.encoder.inputs)}
    lines = [choose(entries[0], settings, metrics), *entries[1:]]
    networks, verdicts, left_out = analyse(lines, judged, rows["test"], resamples=resamples, problems=failed)
    return Comparison(
        networks=networks,
        metrics=metrics,
        rows=rows,
        task_rows={name: len(one.rows) for name, one in judged.items()},
        seeds=seeds,
        verdicts=verdicts,
        confidence=CONFIDENCE,
        resamples=resamples,
        chosen=_chosen(networks, list(metrics)),
        left_out=left_out,
    )


def _chosen(networks: Sequence[NetworkResult], tasks: Sequence[str]) -> str | None:
    """The network with the highest Δm on the validation rows, over the tasks whose score alone there is not about 0."""

    def valid(network: NetworkResult) -> dict[str, float]:
        known = {name: network.tasks[name].valid for name in tasks if name in network.tasks}
        return {name: value for name, value in known.items() if value is not None}

    reference = valid(networks[0])
    whole = [one for one in networks if one.kind == "network" and valid(one).keys() == reference.keys()]
    relative = {name: value for name, value in reference.items() if value >= LEAST}
    if len(reference) < len(tasks) or not whole or not relative:
        return None
    return max(whole, key=lambda one: float(delta_m(valid(one), relative))).name
