"""One run of a comparison: in a folder of its own, done once, resumed where it was stopped."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, final

from trunkline.callbacks import Line
from trunkline.config import Config
from trunkline.inference.evaluate import final_outputs, raw_outputs
from trunkline.insight.comparison.gbdt import grow
from trunkline.insight.comparison.single_task import alone_data
from trunkline.insight.statistics.predictions import PREDICTIONS, write_raws
from trunkline.preparation.data import Data
from trunkline.runs.files import write_text
from trunkline.runs.folder import RunFolder
from trunkline.tables import Batches
from trunkline.training.fit import train_prepared

Kind = Literal["network", "trees"]


@final
@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        network: the variant's name.
        seed: of initialisation and the order of rows.
        folder: the run's.
        config: what is trained, the seed included.
        task: the one that is trained alone; None for all.
        kind: a network, or trees.
    """

    network: str
    seed: int
    folder: Path
    config: Config
    task: str | None = None
    kind: Kind = "network"

    @property
    def name(self) -> str:
        """For messages."""
        return self.network if self.kind == "trees" else f"{self.network} seed {self.seed}"

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return (self.folder / PREDICTIONS).exists()

    def to_json(self) -> dict[str, Any]:
        """In plain values."""
        return vars(self) | {"folder": str(self.folder), "config": self.config.model_dump(mode="json")}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**values | {"folder": Path(values["folder"]), "config": Config.make(values["config"])})


def run(job: Job, data: Data, encoder: Path, on_epoch: Callable[[Line], None]) -> None:
    """Do what is left to do.

    The predictions are written last and whole: a run that has them is done, and what was killed before goes on from its
    last checkpoint.

    Args:
        job: the run.
        data: encoded rows with the labels of all tasks.
        encoder: the file that holds what encoded them.
        on_epoch: receives the lines of the history that end an epoch.

    Raises:
        UserError: a loss that is not a number; a folder that cannot be written.
        KeyboardInterrupt: after Ctrl-C, with a checkpoint in the run's folder.
    """
    if job.done:
        return
    rows = data if job.task is None else alone_data(data, job.task)
    if job.kind == "trees":
        job.folder.mkdir(parents=True, exist_ok=True)
        grow(rows, job.folder, seed=job.seed)
        return
    folder = RunFolder(job.folder)
    with folder.locked():
        resume = ready(folder, job.config, encoder)
        wall, cpu = time.perf_counter(), time.process_time()
        model = train_prepared(job.config, rows, folder, resume=resume, on_line=epochs(on_epoch))
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        batches = Batches(store=rows.stores["test"], size=job.config.training.batch_size)
        raws = raw_outputs(model.network, batches, model.device, amp=job.config.training.amp)
        made = final_outputs(model.network.tasks, raws, model.calibrators)
        # Of a run that was resumed, the time before is known by the clock alone.
        write_raws(job.folder / PREDICTIONS, made, {"cpu_seconds": round(share * model.metrics["train_seconds"], 3)})


def of_many(config: Config) -> Config:
    """The config of one run among many: it searches nothing, and its history stays in its folder."""
    training = config.training.model_copy(update={"trackers": []})
    return config.model_copy(update={"training": training, "tune": None})


def ready(folder: RunFolder, config: Config, encoder: Path) -> bool:
    """Make a run folder ready to train in; whether a training that was stopped there goes on.

    Args:
        folder: of the run.
        config: of the run.
        encoder: the file that holds what encoded the rows.
    """
    if folder.checkpoint.exists() and folder.encoder.exists() and folder.config.exists():
        return True
    folder.start(overwrite=True)
    write_text(folder.config, config.to_yaml())
    _link(encoder, folder.encoder)
    return False


def epochs(tell: Callable[[Line], None]) -> Callable[[Line], None]:
    """Receives all lines of a history, and passes on those that end an epoch."""
    return lambda line: tell(line) if "valid" in line else None


def _link(source: Path, target: Path) -> None:
    """The same file in another folder, without a copy where the system can do without."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
