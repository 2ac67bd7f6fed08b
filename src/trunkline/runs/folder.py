"""The run folder: what lies where, and who trains there."""

import os
import re
import shutil
import socket
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

from filelock import FileLock, Timeout

from trunkline.errors import UserError
from trunkline.runs.files import cannot_write, write_text
from trunkline.untrusted import refuse_links_out


@final
@dataclass(frozen=True)
class RunFolder:
    """Names of a run's files.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def encoder(self) -> Path:
        """The fitted columns and labels."""
        return self.path / "encoder.json"

    @property
    def model(self) -> Path:
        """The selected epoch's network."""
        return self.path / "model.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Where the training stands."""
        return self.path / "checkpoint" / "state.safetensors"

    @property
    def history(self) -> Path:
        """One JSON object a line."""
        return self.path / "history.jsonl"

    @property
    def metrics(self) -> Path:
        """Scores of the selected epoch."""
        return self.path / "metrics.json"

    @property
    def curves(self) -> Path:
        """What a report draws of the selected epoch's estimates."""
        return self.path / "curves.json"

    @property
    def calibration(self) -> Path:
        """How estimates are corrected, if any are."""
        return self.path / "calibration.json"

    @property
    def profile(self) -> Path:
        """What feature columns held in the training and validation rows."""
        return self.path / "profile.json"

    @property
    def points(self) -> Path:
        """What thresholds on binary tasks' estimates do on the validation rows."""
        return self.path / "validation.safetensors"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's files, unless the config names another."""
        return self.path / "tensorboard"

    @property
    def mlflow(self) -> Path:
        """Which of MLflow's runs shows this one."""
        return self.path / "mlflow.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the folder for this process alone while it trains there; the lock goes with the process.

        Raises:
            UserError: another process trains there, or the folder cannot be made.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; give a folder for the run")
        if self.path.is_dir():
            refuse_links_out(self.path)  # what is written there would be written elsewhere
        lock, owner = FileLock(self.path / ".lock", timeout=0), self.path / ".owner"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise UserError(f"{self.path} is in use: {_told(owner)} trains there; wait for it, or stop it") from None
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            write_text(owner, f"process {os.getpid()} on {socket.gethostname()}\n")
            yield
        finally:
            with suppress(OSError):
                owner.unlink(missing_ok=True)
            lock.release()

    def holds_a_run(self) -> bool:
        """Whether a run has begun here."""
        return self.config.exists() or self.model.exists() or self.checkpoint.exists()

    def start(self, *, overwrite: bool = False) -> None:
        """Make the folder ready for a new run.

        Raises:
            UserError: another run lies here and `overwrite` is false; the path is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; give a folder for the run")
        if self.holds_a_run():
            if not overwrite:
                raise UserError(
                    f"{self.path} holds another run; continue it with --resume, replace it with --overwrite, "
                    "or choose another folder with --out"
                )
            made = (
                self.encoder,
                self.model,
                self.checkpoint,
                self.history,
                self.metrics,
                self.curves,
                self.calibration,
                self.points,
                self.profile,
                self.mlflow,
            )
            for file in (self.config, *made):
                file.unlink(missing_ok=True)
            shutil.rmtree(self.tensorboard, ignore_errors=True)
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)


def _told(owner: Path) -> str:
    """Who says to be there; a foreign file's content is not passed on."""
    with suppress(OSError, UnicodeDecodeError):
        if found := re.fullmatch(r"process \d+ on [\w.-]{1,255}", owner.read_text(encoding="utf-8").strip()):
            return found[0]
    return "another process"


@final
class TemporaryFolder:
    """A folder that goes away with this object, without a word.

    Attributes:
        path: the folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="trunkline-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def remove_after_error(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove the folder now if there was an error: a traceback may keep this object for long."""
        if kind is not None:
            self._remove()
