"""Adding tasks to a trained network: what it knows stays, frozen or at a small learning rate of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from trunkline.assembly.checks import check_config, check_subnets
from trunkline.assembly.tasks import build_features
from trunkline.config import Config, TrainingConfig
from trunkline.config.yaml_file import load_yaml, put
from trunkline.errors import Problems, UserError
from trunkline.inference.calibration import check_calibration
from trunkline.inference.model import Model
from trunkline.network import Network
from trunkline.preparation.data import prepare
from trunkline.preparation.fitting import fit_labels
from trunkline.preparation.partition import open_parts, refuse_databases
from trunkline.runs.artifacts import write_fitted
from trunkline.runs.files import write_text
from trunkline.runs.folder import RunFolder, TemporaryFolder
from trunkline.tables.frames import as_polars
from trunkline.training.callbacks.functions import both
from trunkline.training.display import display_for
from trunkline.training.few_steps import warn_of_few_steps
from trunkline.training.fit import Watcher, resolved, train_prepared
from trunkline.training.loop import Loop
from trunkline.training.tracking import check_trackers

SECTIONS = ("tasks", "data", "balance", "optimizer", "training")
"""What an extension may say; features and network are the run's."""


def extend(
    run: str | Path,
    config: Mapping[str, Any] | str | Path,
    *,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    old_lr: float = 0.0,
    overwrite: bool = False,
    on_start: Callable[[Loop], None] | None = None,
    on_line: Watcher | None = None,
    progress: bool = True,
) -> Model:
    """Add tasks to a trained network, and train what they own.

    Features, their encoding and the network's shape are the run's. With `old_lr` 0 all that the run had is frozen: its
    parameters and normalisation stay as they are to the bit, its tasks' losses play no part, and only the new tasks'
    towers (gates, experts, trunks) learn. With a rate above 0 the old subnets learn on at that rate, with all tasks'
    losses.

    The result is a run like any other; Ctrl-C leaves a checkpoint with which `trunkline train OUT/config.yaml --out OUT
    --resume` goes on.

    Args:
        run: a run folder.
        config: `tasks`, the new ones, and where wanted `data`, `balance`, `optimizer` and `training` instead of the
            run's. The rows hold the run's labels too.
        train: training rows as a frame, instead of the config's files.
        valid: validation rows, likewise.
        test: test rows, likewise.
        out: run folder of the result; a temporary one that goes with the model if not given.
        overrides: config values by dotted path, as in `fit`.
        old_lr: learning rate of what the run had.
        overwrite: replace a run that lies in `out`.
        on_start: as in `fit`.
        on_line: as in `fit`.
        progress: as in `fit`.

    Returns:
        The model of old and new tasks.

    Raises:
        UserError: no trained run; an unknown section; a task that is there already; an architecture whose old tasks
            read what a new one brings (`cross_stitch`, `ple` of several levels), so that they cannot stay as they are;
            what `fit` raises.
        KeyboardInterrupt: as in `fit`.
    """
    old = Model.load(run, device="cpu")
    given = {"train": train, "valid": valid, "test": test}
    frames = {part: as_polars(frame) for part, frame in given.items() if frame is not None}
    whole = _together(old, config, overrides or {}, frames, old_lr)
    tasks = check_config(whole)
    check_trackers(whole.training.trackers)
    parts = open_parts(whole.data, frames, texts=whole.written_labels, strata=whole.strata)
    labels = fit_labels(parts["train"], tasks, old.labels)
    inputs = old.encoder.inputs
    _check_places(
        check_subnets(old.config, old.labels.tasks, inputs), check_subnets(whole, labels.tasks, inputs), whole
    )
    whole = _with_rates(whole, old, old_lr)
    data = prepare(whole, tasks, build_features(whole) or [], frames, fitted=(old.encoder, labels))
    check_calibration(
        {name: task.calibrate for name, task in whole.tasks.items()}, labels.tasks, valid="valid" in data.stores
    )
    holder = TemporaryFolder() if out is None else None
    place = RunFolder(Path(out) if holder is None else holder.path)  # type: ignore[arg-type]  # out is set here
    if place.path.resolve() == Path(run).resolve():
        raise UserError(f"{place.path} is the run to extend; choose another folder with --out")
    tensors = old.network.state_dict()
    with place.locked(), display_for(progress) as display:
        place.start(overwrite=overwrite)
        whole = resolved(whole, data)
        write_text(place.config, whole.to_yaml())
        write_fitted(place.encoder, data.encoder, data.labels)
        warn_of_few_steps(whole.training, data.stores)
        return train_prepared(
            whole,
            data,
            place,
            warm=lambda network: _take_over(network, tensors),
            on_start=both(display.start, on_start),
            on_line=both(display.line, on_line),
            holder=holder,
        )


def _together(
    old: Model,
    config: Mapping[str, Any] | str | Path,
    overrides: Mapping[str, Any],
    frames: Mapping[str, pl.DataFrame],
    old_lr: float,
) -> Config:
    """The run's config with the new tasks, and the sections given instead of its own."""
    name = str(config) if isinstance(config, (str, Path)) else "the config"
    raw = load_yaml(Path(config)) if isinstance(config, (str, Path)) else dict(config)
    problems = Problems()
    for section in raw:
        if section not in SECTIONS:
            problems.add(f"{name}: {section} is the run's; an extension may hold {', '.join(SECTIONS)}")
    given = raw.get("tasks") or {}
    if not isinstance(given, Mapping):
        problems.add(f"{name}: tasks holds {type(given).__name__}; it holds the new tasks by name")
        given = {}
    twice = [task for task in given if task in old.config.tasks]
    for task in twice:
        problems.add(f"{name}: task {task} is in the run already; give the new task another name")
    if not given:
        problems.add(f"{name}: tasks is missing; name the tasks to add")
    if not old_lr >= 0:
        problems.add(f"old_lr {old_lr}: it must be 0 (frozen) or above")
    problems.raise_if_any()
    base = old.config.model_dump(mode="json")
    (base["data"].get("split") or {}).pop("result", None)
    for name in old.network.parameters_by_subnet():
        # A rate of the run's own is not one for the extension.
        base["optimizer"]["subnets"].get(name, {}).pop("lr", None)
    if old_lr == 0:
        # Nothing that tasks share learns: there is no gradient to balance, and old tasks' scores stand still.
        base["balance"] |= {"gradients": "none", "at": "fork"}
        base["training"]["select"] = TrainingConfig().select
    merged = base | {section: raw[section] for section in raw if section != "tasks"}
    merged["tasks"] = {**base["tasks"], **given}
    for path, value in overrides.items():
        if path.split(".")[0] not in SECTIONS and not path.startswith("network.sharing."):
            problems.add(f"{path} is the run's; an extension may change {', '.join(SECTIONS)} and network.sharing")
        put(merged, path, value)
    problems.raise_if_any()
    whole = Config.make(merged)
    if "data" not in raw and not any(path.startswith("data.") for path in overrides):
        refuse_databases(whole.data, frames, run=str(old.path))
    for task, had in old.config.tasks.items():
        if whole.tasks[task].model_copy(update={"calibrate": had.calibrate}) != had:
            problems.add(f"tasks.{task} is the run's; of it nothing but calibrate can change")
    problems.raise_if_any()
    return whole


def _with_rates(config: Config, old: Model, old_lr: float) -> Config:
    """The config in which every subnet that the run had learns at `old_lr`, unless the config names its rate."""
    raw = config.model_dump(mode="json")
    subnets = raw["optimizer"]["subnets"]
    had = [name for name in old.network.parameters_by_subnet() if name != "balance"]
    raw["optimizer"]["subnets"] = subnets | {name: {"lr": old_lr, **subnets.get(name, {})} for name in had}
    return Config.make(raw)


def _check_places(old: Network, larger: Network, config: Config) -> None:
    """Refuse a larger network that has no place for all that the run had, or brings its tasks more than they had.

    Args:
        old: as the run's network, with tables of any length.
        larger: likewise as the larger one.
        config: its config.

    Raises:
        UserError: an architecture whose old tasks read what a new one brings.
    """
    before, after = _parts(old), _parts(larger)
    new = tuple(f".{task.name}" for task in larger.tasks[len(old.tasks) :])
    changed = [name for name in before if after.get(name) != before[name]]
    changed += [name for name, (_, subnet) in after.items() if name not in before and not subnet.endswith(new)]
    if changed:
        raise UserError(
            f"sharing {config.network.sharing.kind} cannot be extended like this: its old tasks would read what a "
            f"new one brings ({changed[0]} would be another); train all tasks together"
        )


def _parts(network: Network) -> dict[str, tuple[torch.Size, str]]:
    """Shape and subnet of all parameters but the embedding's, by name."""
    parts = {"sharing": network.sharing, "towers": network.towers}
    names = {id(p): f"{part}.{name}" for part, module in parts.items() for name, p in module.named_parameters()}
    return {
        names[id(p)]: (p.shape, subnet)
        for subnet, parameters in network.parameters_by_subnet().items()
        for p in parameters
        if id(p) in names
    }


def _take_over(network: Network, tensors: Mapping[str, Tensor]) -> None:
    """Put a smaller network's tensors into a larger one's places."""
    own = network.state_dict()
    with torch.no_grad():
        for name, tensor in tensors.items():
            if not name.startswith("fork."):
                own[name].copy_(tensor)
