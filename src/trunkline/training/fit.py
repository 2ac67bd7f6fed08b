"""`fit`: from a config to a trained model in a run folder."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from trunkline.assembly.balance import build_objective
from trunkline.assembly.callbacks import build_callbacks
from trunkline.assembly.checks import check_config, check_subnets
from trunkline.assembly.device import pick_device
from trunkline.assembly.network import build_network
from trunkline.assembly.optimizers import build_optimizers
from trunkline.assembly.tasks import build_features
from trunkline.callbacks import Callback
from trunkline.config import Config
from trunkline.errors import Problems, UserError
from trunkline.inference.calibration import check_calibration
from trunkline.inference.model import Model
from trunkline.inference.residual_scale import residual_scales
from trunkline.metrics import Scores, selection
from trunkline.network import Network
from trunkline.preparation.data import Data, check_files, prepare
from trunkline.random_state import isolated_random
from trunkline.runs.artifacts import read_fitted, write_fitted
from trunkline.runs.files import write_text
from trunkline.runs.folder import RunFolder, TemporaryFolder
from trunkline.runs.history import History
from trunkline.tables import Batches
from trunkline.tables.frames import as_polars
from trunkline.tasks import Task
from trunkline.training.best_network import BestNetwork
from trunkline.training.callbacks.checkpointing import Checkpointing
from trunkline.training.callbacks.functions import Functions, both
from trunkline.training.callbacks.guarded import Guarded, by_name, checked
from trunkline.training.callbacks.history_lines import HistoryLines
from trunkline.training.callbacks.selection import Selection
from trunkline.training.checkpoint import Checkpoint, Progress
from trunkline.training.display import display_for
from trunkline.training.few_steps import warn_of_few_steps
from trunkline.training.finish import finish
from trunkline.training.freeze import freeze
from trunkline.training.going_on import tell_if_done
from trunkline.training.loop import Loop
from trunkline.training.same_run import check_content, check_same
from trunkline.training.tracking import Tracking, check_trackers
from trunkline.training.unsure_tasks import unsure_tasks

Watcher = Callable[[dict[str, Any]], None]
Afterwards = Callable[[Model, Data], None]


def fit(
    config: Config | Mapping[str, Any] | str | Path,
    *,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_start: Callable[[Loop], None] | None = None,
    on_line: Watcher | None = None,
    callbacks: Sequence[Callback] = (),
    on_trained: Afterwards | None = None,
    progress: bool = True,
) -> Model:
    """Train, select the best epoch on the validation rows, and score it.

    Args:
        config: a YAML file, a mapping or a `Config`.
        train: training rows as a polars or pandas frame, instead of the config's files.
        valid: validation rows, likewise.
        test: test rows, likewise.
        out: run folder; without one the run lives in a temporary folder that goes with the model, without a
            checkpoint.
        overrides: config values by dotted path, as `--set` takes them.
        resume: continue the run in `out` from its checkpoint.
        overwrite: replace a run that lies in `out`.
        on_start: called once, before the first step, with the loop.
        on_line: called with every line of the history.
        callbacks: told of everything, after those of `training.callbacks`.
        on_trained: called once, when all is done, with the model and the encoded rows, which are let go then.
        progress: show how it goes: a bar in a terminal, a table in a notebook, a line an epoch elsewhere, on stderr.

    Returns:
        The selected epoch's model; `.metrics` holds its scores, `.history` the lines.

    Raises:
        UserError: everything wrong with config and data; a folder that holds another run; a loss that is not a number.
        KeyboardInterrupt: after Ctrl-C, with a checkpoint in `out`.

    Examples:
        >>> import polars as pl
        >>> rows = pl.DataFrame({"x": [0.0, 1.0] * 50, "click": [0, 1] * 50, "buy": [0, 1, 0, 0] * 25})
        >>> tasks = {"click": "binary", "buy": {"kind": "binary", "reads": ["click"]}}
        >>> model = fit({"tasks": tasks, "training": {"epochs": 1}}, train=rows)
        >>> sorted(model(rows).columns)
        ['buy', 'click']
    """
    config = Config.make(config, overrides=overrides)
    given = {"train": train, "valid": valid, "test": test}
    frames = {part: as_polars(frame) for part, frame in given.items() if frame is not None}
    problems = Problems()
    tasks: list[Task] = []
    with problems.collect():
        tasks = check_config(config)
    with problems.collect():
        check_trackers(config.training.trackers)
    if problems:
        # Rows are not looked at for a config that cannot work, but a missing file is said along with the rest.
        with problems.collect():
            check_files(config.data, frames)
        problems.raise_if_any()
    holder = TemporaryFolder() if out is None else None
    run = RunFolder(Path(out) if holder is None else holder.path)  # type: ignore[arg-type]  # out is set here
    asked = {name: task.calibrate for name, task in config.tasks.items()}
    with ExitStack() as held:
        if holder is not None:
            held.push(holder.remove_after_error)
        new = not run.path.is_dir()
        if not new:
            held.enter_context(run.locked())
        if resume and run.config.exists() and not (run.checkpoint.exists() or run.model.exists()):
            resume, overwrite = False, True  # stopped before the first checkpoint: it begins anew
        if resume:
            goes_on = check_same(run, config)
            fitted = read_fitted(run.encoder, tasks)
            data = prepare(config, tasks, build_features(config) or [], frames, fitted=fitted)
            check_content(run, data.content)
            check_calibration(asked, data.labels.tasks, valid="valid" in data.stores)
            write_text(run.config, goes_on.to_yaml())
        else:
            if run.holds_a_run() and not overwrite:
                run.start()
            data = prepare(config, tasks, build_features(config), frames)
            check_subnets(config, data.labels.tasks, data.encoder.inputs)
            check_calibration(asked, data.labels.tasks, valid="valid" in data.stores)
            if new:  # a folder is made for a training that can begin
                held.enter_context(run.locked())
            run.start(overwrite=overwrite)
            config = resolved(config, data)
            write_text(run.config, config.to_yaml())
            write_fitted(run.encoder, data.encoder, data.labels)
            warn_of_few_steps(config.training, data.stores)
        display = held.enter_context(display_for(progress))
        try:
            model = train_prepared(
                config,
                data,
                run,
                resume=resume,
                on_start=both(display.start, on_start),
                on_line=both(display.line, on_line),
                callbacks=callbacks,
                holder=holder,
            )
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(_how_to_go_on(run, kept=holder is None))
            raise
        if on_trained is not None:
            on_trained(model, data)
        return model


def _how_to_go_on(run: RunFolder, *, kept: bool) -> str:
    """What to tell below the traceback of an interrupt, which is where a notebook's user looks."""
    if not kept:
        return "nothing is left of this training: a run that can go on lies in a folder, fit(…, out=FOLDER)"
    so_far = f"; Model.load({str(run.path)!r}) is its best epoch so far" if run.model.exists() else ""
    return f"the run goes on with fit(…, out={str(run.path)!r}, resume=True){so_far}"


def train_prepared(
    config: Config,
    data: Data,
    run: RunFolder,
    *,
    warm: Callable[[Network], None] | None = None,
    resume: bool = False,
    on_start: Callable[[Loop], None] | None = None,
    on_line: Watcher | None = None,
    callbacks: Sequence[Callback] = (),
    holder: Any = None,
) -> Model:
    """Train on encoded rows, into a run folder that is ready for it.

    Args:
        config: the resolved config.
        data: encoded rows, and what encodes them.
        run: the folder, locked.
        warm: changes the new network before the first step.
        resume: continue from the folder's checkpoint.
        on_start: as in `fit`.
        on_line: as in `fit`.
        callbacks: as in `fit`.
        holder: of a temporary run folder, kept alive with the model; nobody can go on from there, so that no
            checkpoint is written.

    Raises:
        UserError: a loss that is not a number; a tracker that cannot begin.
        KeyboardInterrupt: after Ctrl-C.
    """
    with isolated_random(config.training.seed), Tracking(config.training.trackers, run) as tracking:
        return _train(
            config,
            data,
            run,
            tracking,
            warm,
            resume=resume,
            on_start=on_start,
            on_line=on_line,
            callbacks=callbacks,
            holder=holder,
        )


def _train(
    config: Config,
    data: Data,
    run: RunFolder,
    tracking: Tracking,
    warm: Callable[[Network], None] | None,
    *,
    resume: bool,
    on_start: Callable[[Loop], None] | None,
    on_line: Watcher | None,
    callbacks: Sequence[Callback],
    holder: Any,
) -> Model:
    c, device = config.training, pick_device(config.training)
    lasting = holder is None
    tasks = data.labels.tasks
    network = build_network(config, tasks, data.encoder.inputs)
    objective = build_objective(config.balance, tasks)
    if warm is not None:
        warm(network)
    network.to(device)
    objective.to(device)
    scaler = torch.amp.GradScaler(device.type, enabled=c.amp == "fp16")
    optimizers = build_optimizers(config.optimizer, network, objective)
    freeze(optimizers)
    users = [Guarded(one) for one in [*build_callbacks(config.training), *checked(callbacks)]]
    state = Checkpoint(network, objective, optimizers, scaler, Progress(), by_name(users))
    if resume:
        state.load(run.checkpoint)
        tell_if_done(run, config, state.progress)
    elif lasting:
        state.save(run.checkpoint)
    after = (state.progress.step, state.progress.epoch) if resume else None
    history = History(run.history, after=after, durable=lasting)
    tracking.start(state.progress.step)
    batches = {part: Batches(store=store, size=c.batch_size, seed=c.seed) for part, store in data.stores.items()}

    network_kept = BestNetwork(network, run.model, at_once=lasting)

    def best(valid: Scores | None) -> None:
        facts = {"epoch": state.progress.epoch, "valid": valid, "sigma": residual_scales(tasks, valid)}
        # Of an earlier end of this run: they are of another network.
        for later in (run.calibration, run.points, run.metrics, run.curves):
            later.unlink(missing_ok=True)
        network_kept.keep(facts)

    unsure = unsure_tasks(tasks, data.stores.get("valid")) if c.select.startswith("mean") else []
    loop = Loop(
        network=network,
        objective=objective,
        state=state,
        train=batches["train"],
        valid=batches.get("valid"),
        epochs=c.epochs,
        device=device,
        amp=c.amp,
        compile=c.compile,
        log_every=c.log_every,
        log_gradients=c.log_gradients,
        callbacks=[
            Selection(selection(c.select, tasks, unsure=unsure), best, patience=c.patience),
            HistoryLines(history, tracking),
            *([Checkpointing(run.checkpoint, minutes=c.checkpoint_minutes)] if lasting else []),
            Functions(on_start, on_line),
            *users,
        ],
        bad_batches=c.bad_batches,
    )
    try:
        loop()
    except UserError as error:
        told = [f"the last good checkpoint is {run.checkpoint}"] if lasting else []
        raise UserError([*error.problems, *told]) from error.__cause__
    network_kept.write()
    if not run.model.exists():
        go_on = f" and go on from {run.checkpoint} with --resume" if lasting else ""
        raise UserError(
            "the training was stopped before its first epoch, by loop.stop() in on_start: there is no model to give; "
            f"stop in on_epoch, or leave that callback out{go_on}"
        )
    model = Model.selected(run, config, data.encoder, data.labels, device=device, holder=holder)
    finish(model, data, run, state.progress)
    return model


def resolved(config: Config, data: Data) -> Config:
    """The config with what the rows decided: the features, and how the split cut."""
    raw = config.model_dump(mode="json")
    if config.features == "auto":
        raw["features"] = {one.name: {"kind": one.kind, **one.options} for one in data.features}
    if data.split is not None:
        raw["data"]["split"] |= {"result": data.split, "stratify": config.strata}
    raw["data"]["content"] = data.content or None
    return Config.make(raw)
