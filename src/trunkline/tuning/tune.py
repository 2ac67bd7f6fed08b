"""Tuning: a search over a space, for one score, several or a utility, with guardrails."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.assembly.checks import check_config
from trunkline.assembly.device import pick_device
from trunkline.assembly.tasks import build_features
from trunkline.config import Config
from trunkline.config.here_alone import workers
from trunkline.errors import Problems, UserError
from trunkline.insight.comparison.shared_data import shared
from trunkline.insight.comparison.shared_folder import ENCODER, begin
from trunkline.insight.parallel.pool import Event, cores, run_apart, run_here
from trunkline.preparation.data import check_files, prepare
from trunkline.runs.folder import TemporaryFolder
from trunkline.tables.frames import as_polars
from trunkline.training.fit import resolved
from trunkline.tuning.checks import check_rates, check_space
from trunkline.tuning.goal import Goal
from trunkline.tuning.order import Order
from trunkline.tuning.space import Space

if TYPE_CHECKING:
    from trunkline.tuning.result import Tuning
    from trunkline.tuning.study import Study
    from trunkline.tuning.trial import Setup

FREE = {"tune": {"trials", "sampler", "prune"}, "training": {"trackers"}}
"""What may change when a study goes on."""
_TRIES = 3
"""Rounds without a trial that ended, after which whatever is wrong (it was told) is taken to stay wrong."""
_PAUSE = 0.5
"""Seconds between two looks at what other processes are at."""


def tune(
    config: Config | Mapping[str, Any] | str | Path,
    *,
    out: str | Path | None = None,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    trials: int | None = None,
    seconds: float | None = None,
    jobs: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    on_start: Callable[[int, int], None] | None = None,
    on_event: Callable[[Event[Order]], None] | None = None,
) -> "Tuning":
    """Search the space of the config's `tune` section.

    The config itself is trained first. Everything is chosen by the validation rows; the test rows are not looked at.
    The study lies in an SQLite file in the folder: the same call on the same folder joins it, from another process or
    a machine that shares the folder, and goes on with what was stopped or killed.

    Args:
        config: a YAML file, a mapping or a `Config`, with a `tune` section.
        out: folder of the study; without one it lives in a temporary folder and is gone afterwards.
        train: training rows as a frame, instead of the config's files.
        valid: validation rows, likewise.
        test: test rows, likewise; for nothing but to be left alone.
        trials: how many the study has in the end, instead of `tune.trials`.
        seconds: after which no further trial is begun.
        jobs: trials at once, each in a process of its own; as many as there are cores by default, one where there is a
            GPU. One at once is trained in this process.
        overrides: config values by dotted path.
        on_start: called once, before the first trial, with how many there will be and how many are done.
        on_event: called when an epoch or a trial is done.

    Raises:
        UserError: everything wrong with config, space and data; a folder that holds another study.
        KeyboardInterrupt: after Ctrl-C, with a checkpoint of every trial under way.
    """
    config = Config.make(config, overrides={**(overrides or {}), **({"tune.trials": trials} if trials else {})})
    given = {"train": train, "valid": valid, "test": test}
    frames = {part: as_polars(frame) for part, frame in given.items() if frame is not None}
    space = _checked(config, frames, jobs=jobs, seconds=seconds, trials=trials)
    holder = TemporaryFolder() if out is None else None
    data = prepare(config, check_config(config), build_features(config), frames)
    if "valid" not in data.stores:
        raise UserError("tune needs validation rows: they choose; give data.valid or a split")
    config = resolved(config, data)
    assert config.tune is not None
    check_rates(config, space, data)
    folder = Path(out) if holder is None else holder.path / "study"  # type: ignore[arg-type]  # out is set here
    raw = config.model_dump(mode="json", exclude={"data": True, **FREE})
    data = replace(data, stores={part: store for part, store in data.stores.items() if part != "test"})
    key = begin(folder, "study", raw, data)

    from trunkline.tuning.study import Study
    from trunkline.tuning.trial import Setup

    goal = Goal.make(config.tune, data.labels.tasks)
    setup = Setup(config, goal, space, data, folder, folder / ENCODER)
    study = Study(folder, config.tune, goal, seed=config.training.seed)
    try:
        return _searched(setup, study, key, jobs=jobs, seconds=seconds, on_start=on_start, on_event=on_event)
    finally:
        study.close()


def _checked(
    config: Config, frames: Mapping[str, Any], *, jobs: int | None, seconds: float | None, trials: int | None
) -> Space:
    problems, tasks = Problems(), []
    space = Space({})
    with problems.collect():
        tasks = check_config(config)
    for name, value in (("jobs", jobs), ("trials", trials), ("seconds", seconds)):
        if value is not None and value <= 0:
            problems.add(f"{name} is {value}; it is above 0")
    if find_spec("optuna") is None:
        problems.add("tune needs Optuna; pip install 'trunkline[tune]'")
    if config.tune is None:
        problems.add(
            "the config has no tune section; for example\n"
            "  tune:\n"
            "    space:\n"
            "      optimizer.lr: {low: 0.0003, high: 0.01, log: true}\n"
            "      balance.objective: [sum, uncertainty, famo]"
        )
    elif tasks:
        with problems.collect():
            Goal.make(config.tune, tasks)
        with problems.collect():
            space = check_space(config)
    if problems:
        with problems.collect():
            check_files(config.data, frames)
    problems.raise_if_any()
    return space


def _searched(
    setup: "Setup",
    study: "Study",
    key: str,
    *,
    jobs: int | None,
    seconds: float | None,
    on_start: Callable[[int, int], None] | None,
    on_event: Callable[[Event[Order]], None] | None,
) -> "Tuning":
    from trunkline.tuning.publish import publish
    from trunkline.tuning.result import result
    from trunkline.tuning.trial import turn
    from trunkline.tuning.trial_worker import MODULE

    assert setup.config.tune is not None
    until, wanted = None if seconds is None else time.time() + seconds, setup.config.tune.trials
    watch = on_event or (lambda event: None)
    if on_start is not None:
        on_start(wanted, len(study.ended))
    reached = _config_scores(setup)
    point = setup.space.point_of(setup.config)
    if reached is not None and point is not None:
        study.enqueue_config(point)
    here = cores() if pick_device(setup.config.training).type == "cpu" else 1
    processes = workers([setup.config], asked=jobs, usual=here)
    common: dict[str, Any] | None = None
    order, vain = Order(until, wanted), 0
    while (left := wanted - len(study.ended)) > 0 and vain < _TRIES and not order.late:
        free = left - study.alive()
        if free <= 0:
            time.sleep(_PAUSE)
            continue
        before = len(study.ended)
        if min(processes, free) == 1:
            run_here([order], lambda order, tell: turn(setup, study, tell, order), watch)
        else:
            common = common or {
                "config": setup.config.model_dump(mode="json"),
                "encoder": str(setup.encoder.resolve()),
                "folder": str(setup.folder.resolve()),
                "stores": shared(setup.data, setup.folder / "rows", key),
            }
            run_apart([order] * free, MODULE, common, watch, processes=min(processes, free))
        vain = vain + 1 if len(study.ended) == before else 0
    rows = {part: len(store) for part, store in setup.data.stores.items()}
    found = result(study, setup.goal, reached, seeds=len(setup.seeds), rows=rows)
    publish(found, setup)
    return found


def _config_scores(setup: "Setup") -> Any:
    """What the config itself reaches; None where it cannot be trained, and no guardrail asks."""
    try:
        return setup.config_scores
    except UserError as error:
        if not setup.goal.needs_config:
            return None
        why = "the config itself cannot be trained, and a guardrail (may_lose) asks what it reaches"
        raise UserError([why, *error.problems]) from None
