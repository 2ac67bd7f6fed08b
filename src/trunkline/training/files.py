"""The run folder: what lies where, written so that a reader never sees half a file."""

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trunkline.errors import UserError


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
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's files, unless the config names another."""
        return self.path / "tensorboard"

    @property
    def mlflow(self) -> Path:
        """Which of MLflow's runs shows this one."""
        return self.path / "mlflow.json"

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
                self.mlflow,
            )
            for file in (self.config, *made):
                file.unlink(missing_ok=True)
            shutil.rmtree(self.tensorboard, ignore_errors=True)
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)


@final
class TemporaryFolder:
    """A folder that goes away with this object, without a word.

    Attributes:
        path: the folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="trunkline-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file beside and rename it."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON; a NaN or an infinity is an error."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts into one safetensors file, beside and renamed."""
    partial = path.with_name(f".{path.name}.partial")
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, partial, metadata={"trunkline": json.dumps(facts, allow_nan=False)})
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote.

    Raises:
        UserError: the file is missing or is no such file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["trunkline"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118  # no mapping
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def load_into(module: torch.nn.Module, tensors: Mapping[str, Tensor], *, name: str) -> None:
    """Put tensors into a module of the same shape.

    Raises:
        UserError: names or shapes differ.
    """
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise UserError(f"{name} does not fit the network of its config: {error}") from None
