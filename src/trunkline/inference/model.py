"""The trained model: loaded from a run folder, called with a frame."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, final

import polars as pl
import torch
from torch import Tensor

from trunkline.assembly.device import pick_device
from trunkline.assembly.memory import in_shape
from trunkline.assembly.network import build_network
from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.config.yaml_file import load_yaml
from trunkline.errors import UserError
from trunkline.inference.calibration import Calibrators, check_calibrators, read_calibrators
from trunkline.inference.decision import Decision, decisions, with_decisions
from trunkline.inference.decision_rules import Rule
from trunkline.inference.evaluate import final_outputs, raw_outputs, scores
from trunkline.inference.input_profile import read_profile
from trunkline.inference.input_watch import InputWatch
from trunkline.inference.kept_columns import kept_columns
from trunkline.inference.labelled_rows import labelled_rows
from trunkline.inference.model_summary import Summary
from trunkline.inference.operating_points import read_points
from trunkline.inference.saving import save_run
from trunkline.inference.score_table import score_table
from trunkline.inference.stream import Look, Reading, stream
from trunkline.metrics import Scores
from trunkline.network import Network
from trunkline.runs.artifacts import read_fitted
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import read_history
from trunkline.runs.tensors import read_tensors
from trunkline.tables import Batch, Batches, Encoder, Labels, Store
from trunkline.tables.dialect import Dialect
from trunkline.tables.encoder import Encoded
from trunkline.tables.frames import as_polars, like
from trunkline.tables.origin import Paths
from trunkline.tables.prefetch import ahead
from trunkline.tasks import Binary, Multiclass, Task
from trunkline.untrusted import read_json

if TYPE_CHECKING:
    from trunkline.report.inline import InlineReport

STEP = 8192
"""Rows in one forward pass: with more of them the layers' outputs leave the processor's cache."""


@final
class Model:
    """Estimates of every task for any rows that have the feature columns.

    Args:
        config: the run's resolved config.
        encoder: from feature columns to tensors.
        labels: classes and label units.
        network: trained, in evaluation mode.
        sigma: of each task whose likelihood has a width that the run measures, in its label's unit.
        calibrators: corrections of estimates.
        path: the run folder.
        holder: keeps a temporary run folder alive.
    """

    def __init__(
        self,
        config: Config,
        encoder: Encoder,
        labels: Labels,
        network: Network,
        *,
        sigma: Mapping[str, float | None],
        calibrators: Calibrators | None = None,
        path: Path,
        holder: Any = None,
    ) -> None:
        self.config = config
        self.encoder = encoder
        self.labels = labels
        self.network = network
        self.sigma = dict(sigma)
        self.calibrators = dict(calibrators or {})
        self.path = path
        self._holder = holder

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto", holder: Any = None) -> Self:
        """The model of a run folder, finished or not, once an epoch has been selected.

        Args:
            path: the run folder.
            device: `auto`, `cpu`, `cuda` or `mps`.
            holder: kept alive with the model.

        Raises:
            UserError: no run lies there, or its files cannot be read or do not fit together.
        """
        run = RunFolder(Path(path))
        if not run.config.exists():
            raise UserError(f"{path} is no run folder: {run.config.name} is missing")
        if not run.model.exists():
            raise UserError(f"{path} has no trained model yet; finish its first epoch: trunkline train --resume")
        config = _to_predict(run.config)
        encoder, labels = read_fitted(run.encoder, build_tasks(config))
        calibrators = read_calibrators(run.calibration) if run.calibration.exists() else {}
        check_calibrators(calibrators, labels.tasks, name=str(run.calibration))
        device_config = config.training.model_copy(update={"device": device})
        model = cls.selected(run, config, encoder, labels, device=pick_device(device_config), holder=holder)
        model.calibrators = calibrators
        return model

    @classmethod
    def selected(
        cls, run: RunFolder, config: Config, encoder: Encoder, labels: Labels, *, device: torch.device, holder: Any
    ) -> Self:
        """The selected epoch's network beside what is known of the run already; uncalibrated.

        A config can ask for any size of network: it is built in shape alone and takes the file's tensors as they are,
        so that what the file does not hold is given no memory.

        Args:
            run: the run folder.
            config: its config.
            encoder: what encodes its rows.
            labels: likewise its labels.
            device: where the network goes.
            holder: kept alive with the model.

        Raises:
            UserError: a network that cannot be made, or files that do not fit it.
        """
        try:
            with in_shape():
                network = build_network(config, labels.tasks, encoder.inputs)
        except (RuntimeError, OverflowError, TypeError) as error:
            raise UserError(f"{run.config} asks for a network that cannot be made: {error}") from None
        facts = _load_selected(network, run.model)
        network.to(device).eval()
        sigma = facts.get("sigma", {})
        return cls(config, encoder, labels, network, sigma=sigma, path=run.path, holder=holder)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def metrics(self) -> dict[str, Any]:
        """`metrics.json` of the run.

        Raises:
            UserError: the run has not ended, or the file is damaged.
        """
        path = RunFolder(self.path).metrics
        found = read_json(path)
        if not isinstance(found, dict):
            raise UserError(f"{path} holds {type(found).__name__}; it must hold keys")
        return found

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of the run's history."""
        return read_history(RunFolder(self.path).history)

    def __call__(self, frame: Any) -> Any:
        """Estimates for a polars or pandas frame, as the same sort of frame, row for row.

        A binary task gives column `<task>`, the probability of 1; one with `space: click` the joint probability, and
        `<task>_given_click` the tower's own. A multiclass task gives `<task>`, the most probable class, and
        `<task>_<class>`, the probability of each. Any other gives `<task>` in the label's unit and what its likelihood
        has beside it (`<task>_low` and `<task>_high`, the ends of a 90 % interval, `<task>_sigma`, …); where the
        likelihood has no width of its own, `<task>_sigma` is the root mean squared error over the run's validation
        rows. Calibrated tasks are calibrated here. All numbers are float64, of every kind of task.

        Raises:
            UserError: a feature column that is missing or holds what it cannot; further columns are ignored.
        """
        return like(self.estimate(as_polars(frame)), frame)

    def predict(self, frame: Any, *, keep: Sequence[str] = (), decide: Mapping[str, str | Rule] | None = None) -> Any:
        """Estimates rows for rows as calling the model gives them, beside columns of the frame and decisions.

        Args:
            frame: rows, as in `__call__`.
            keep: columns to have before the estimates, named as in `iter`.
            decide: by binary task, the rule of a threshold; see `decisions`.

        Raises:
            UserError: what `__call__` and `decisions` raise; a column to keep that is not there or whose name is taken.
        """
        rows = as_polars(frame)
        made = with_decisions(self.estimate(rows), self.decisions(decide or {}))
        labels = [task.column for task in self.labels.tasks]
        kept = kept_columns(keep, present=rows.columns, made=made.columns, labels=labels)
        return like(made, frame, beside=rows.select(pl.col(name).alias(kept[name]) for name in kept), kept=kept)

    @property
    def tasks(self) -> dict[str, str]:
        """`{task: kind}`."""
        return {task.name: task.kind for task in self.network.tasks}

    def score(self, data: Any) -> Any:
        """What `trunkline evaluate` prints, as a frame: a row a task, a column a metric, `rows` scored.

        Pandas in, pandas out; polars for everything else.

        Args:
            data: labelled rows, as in `evaluate`.

        Raises:
            UserError: what reading and encoding find wrong.
        """
        return score_table(self.evaluate(data), data)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model into a folder from which `Model.load` makes one with the same estimates, to the bit.

        It is a run like any other, with history and checkpoint. A model that was trained without `out` lives in a
        temporary folder and goes with it unless it is saved; it has no checkpoint to go on from.

        Args:
            folder: where to.
            overwrite: replace a run that lies there.

        Raises:
            UserError: the folder is the model's own, or holds another run; it cannot be written.
        """
        target = RunFolder(Path(folder))
        tensors, source = self.network.state_dict(), RunFolder(self.path)
        save_run(source, target, tensors, calibrators=self.calibrators, overwrite=overwrite)
        return target.path

    def report(self, *, quick: bool = False) -> "InlineReport":
        """The run's page: shown where a notebook's cell ends with it; elsewhere it says where its file is.

        Args:
            quick: draw what the run holds; look for nothing in it and its rows.

        Raises:
            UserError: the run's files cannot be read, or the page cannot be written.
        """
        from trunkline.report.inline import inline_report

        return inline_report(self.path, quick=quick)

    def __repr__(self) -> str:
        """The tasks, each with its headline score on the validation rows of the selected epoch, where there are any."""
        return Summary.of(self.path, self.network.tasks).text()

    def _repr_html_(self) -> str:
        return Summary.of(self.path, self.network.tasks).html()

    def estimate(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`__call__` for polars."""
        return self._estimates(self.encoder.encode(frame))

    def estimates_of_none(self) -> pl.DataFrame:
        """The columns of estimates, without a row."""
        return self.estimate(pl.DataFrame({name: [] for name in self.encoder.names}))

    def _estimates(self, encoded: Encoded) -> pl.DataFrame:
        raws = {name: raw.double() for name, raw in self._raws(encoded).items()}
        made = final_outputs(self.network.tasks, raws, self.calibrators)
        columns: list[pl.Series] = []
        for task in self.network.tasks:
            columns += self._columns(task, made[task.name])
            if task.space is not None:
                own = task.estimate(raws[task.name])
                columns.append(pl.Series(f"{task.name}_given_{task.space}", own.numpy()))
        return pl.DataFrame(columns)

    def _raws(self, encoded: Encoded) -> dict[str, Tensor]:
        """Raw outputs `[N, outputs]` of each task."""
        rows = Batch(encoded.ids, encoded.numbers, {}, {}, encoded.lists)
        if not len(rows):
            return {task.name: torch.empty(0, task.outputs) for task in self.network.tasks}
        return raw_outputs(self.network, Batches(store=Store.of(rows), size=STEP), self.device)

    def evaluate(self, data: Any, *, null_values: Sequence[str] = (), dialect: Dialect | None = None) -> Scores:
        """All metrics of all tasks on labelled rows, from a frame or files; files are read chunk by chunk.

        Args:
            data: rows, or where they lie.
            null_values: texts that mean "missing" in CSV; the run's own by default.
            dialect: of CSV; the run's own by default.

        Raises:
            UserError: what reading and encoding find wrong.
        """
        reading = Reading(
            null_values=null_values or self.config.data.null_values, dialect=dialect or self.config.data.dialect
        )
        rows = labelled_rows(data, self.encoder, self.labels, reading=reading, texts=self.config.written_labels)
        parts = [(self._raws(encoded), labels, weights) for encoded, labels, weights in ahead(rows)]
        together = [{name: torch.cat([part[k][name] for part in parts]) for name in parts[0][k]} for k in range(3)]
        return scores(self.network.tasks, *together, calibrators=self.calibrators)

    def iter(
        self,
        source: Paths,
        *,
        keep: Sequence[str] = (),
        decide: Mapping[str, str | Rule] | None = None,
        null_values: Sequence[str] = (),
        dialect: Dialect | None = None,
        look: Look | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Estimates of files batch by batch, in the files' order, as polars frames; memory does not grow with them.

        `trunkline predict` writes what this gives. A thread reads and encodes the next rows while the network estimates
        the last ones.

        Args:
            source: a file, a glob, or several of either, as in `tables.scan`.
            keep: columns to have before the estimates; `*` for all. One that has the name of an estimate is called
                `label_<name>` where it is a task's label, `input_<name>` otherwise.
            decide: by binary task, the rule of a threshold; see `decisions`.
            null_values: texts that mean "missing" in CSV; the run's own by default.
            dialect: of CSV that is written differently from the run's.
            look: told of all rows to predict, such as `InputWatch.see`.

        Raises:
            UserError: unreadable files, no rows, missing or unreadable columns; a column to keep that is not there, or
                whose name is taken; files that change meanwhile; what `decisions` raises.
        """
        if not isinstance(source, (str, Path, list, tuple)):
            raise UserError(f"iter reads files, and {type(source).__name__} is none; rows in memory go to predict")
        chosen = self.decisions(decide or {})
        data = self.config.data
        return stream(
            source,
            self.encoder,
            lambda rows: with_decisions(self._estimates(rows), chosen),
            reading=Reading(null_values=null_values or data.null_values, dialect=dialect or data.dialect),
            keep=keep,
            labels=[task.column for task in self.labels.tasks],
            look=look,
        )

    def watch(self) -> InputWatch:
        """What to hand to `iter` as `look=watch.see`: it then says what in the rows is unlike the run's rows.

        Raises:
            UserError: a damaged file of the run.
        """
        path = RunFolder(self.path).profile
        return InputWatch(self.encoder, read_profile(path, self.encoder) if path.exists() else None)

    def decisions(self, rules: Mapping[str, str | Rule]) -> dict[str, Decision]:
        """The thresholds that rules choose on the run's validation rows, by task; the same ones at every call.

        Args:
            rules: by binary task: `f1`, `cost:FP:FN`, `rate:SHARE` or `at:THRESHOLD`; or such a rule as an object.

        Raises:
            UserError: a task that is not there or not binary, a rule that is none, validation rows that are not there
                or cannot choose; all of them.
        """
        path = RunFolder(self.path).points
        points = read_points(path, self.network.tasks) if rules and path.exists() else None
        return decisions(rules, self.network.tasks, points)

    def _columns(self, task: Task, raw: Tensor) -> list[pl.Series]:
        name, estimate = task.name, task.estimate(raw)
        if isinstance(task, Multiclass):
            classes = self.labels.classes[name]
            best = estimate.argmax(dim=1).tolist()
            columns = [pl.Series(name, [classes[i] for i in best], dtype=pl.Series(classes).dtype)]
            probabilities = estimate.unbind(1)
            return columns + [
                pl.Series(f"{name}_{value}", p.numpy()) for value, p in zip(classes, probabilities, strict=True)
            ]
        if isinstance(task, Binary):
            return [pl.Series(name, estimate.numpy())]
        columns = [pl.Series(name, estimate.numpy())]
        columns += [pl.Series(f"{name}_{suffix}", values.numpy()) for suffix, values in task.details(raw).items()]
        if task.residual_scale:
            constant = pl.Series(f"{name}_sigma", [self.sigma.get(name)], dtype=pl.Float64)
            columns.append(constant.new_from_index(0, len(estimate)))
        return columns


def _to_predict(path: Path) -> Config:
    """The config of a run, without what trained it and may not be installed here: that plays no part any more.

    Raises:
        UserError: a config that cannot be read.
    """
    try:
        return Config.make(path)
    except UserError as error:
        raw = load_yaml(path)
        training, tasks = raw.get("training"), raw.get("tasks")
        if isinstance(training, dict):
            raw["training"] = {k: v for k, v in training.items() if k not in ("callbacks", "trackers", "select")}
        if isinstance(tasks, dict):
            raw["tasks"] = {
                name: {k: v for k, v in task.items() if k != "metrics"} if isinstance(task, dict) else task
                for name, task in tasks.items()
            }
        try:
            return Config.make({key: value for key, value in raw.items() if key not in ("balance", "tune")})
        except UserError:
            raise error from None


def _load_selected(network: Network, path: Path) -> dict[str, Any]:
    """Put the selected epoch's tensors into a network of their shapes, which may have no memory yet; the file's facts.

    Raises:
        UserError: the file is missing, damaged, or of another network.
    """
    tensors, facts = read_tensors(path, like=network.state_dict())
    _check_estimates(tensors, facts, name=str(path))
    network.load_state_dict(tensors, assign=True)
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:  # what no file holds: the last measurement of the fork
                setattr(module, name, torch.zeros(buffer.shape, dtype=buffer.dtype))
    return facts


def _check_estimates(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, name: str) -> None:
    """Refuse a network whose estimates could be no numbers.

    Raises:
        UserError: a tensor that estimates are made of, or a sigma, that is not finite.
    """
    for key, tensor in tensors.items():
        if key.startswith("fork.") or not tensor.is_floating_point() or not tensor.numel():
            continue  # the fork balances gradients; no estimate reads it
        if not all(math.isfinite(float(end)) for end in tensor.aminmax()):
            raise UserError(f"{name}: {key} holds numbers that are not finite; train again, or take another epoch's")
    sigma = facts.get("sigma", {})
    if not isinstance(sigma, dict) or not all(one is None or type(one) in (int, float) for one in sigma.values()):
        raise UserError(f"{name}: sigma {sigma!r} must be a number or nothing for each task")
