"""The run folder: what lies where, written so that a reader never sees half a file."""

import errno
import json
import os
import re
import shutil
import socket
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trunkline.errors import UserError
from trunkline.tables.staged import sync
from trunkline.untrusted import parse_json, refuse_links_out


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
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file beside and rename it.

    Raises:
        UserError: it cannot be written; what was there before is still there.
    """
    with _beside(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, as `write_text` does; a NaN or an infinity is an error."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts into one safetensors file, as `write_text` does."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"trunkline": json.dumps(facts, allow_nan=False)}
    with _beside(path) as partial:
        save_file(plain, partial, metadata=metadata)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A file to write in place of another, which it replaces once it is whole and on disk.

    Raises:
        UserError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        try:
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
            sync(path.parent)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
    except (OSError, SafetensorError) as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: Exception) -> UserError:
    """What to tell when a file could not be written."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    full = full or any(words in str(error) for words in ("No space left", "File too large", "quota exceeded"))
    remedy = "; make room on that disk, then go on" if full else ""
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UserError(f"{path} cannot be written: {why}{remedy}")


MOST_HEADER = 1 << 24
"""Bytes of a tensor file's header: tensors by the hundred thousand."""
_AGAIN = 100
"""Times that a file is read which is replaced meanwhile."""
_CODES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def read_tensors(path: Path, *, like: Mapping[str, Tensor] | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote.

    Args:
        path: the file.
        like: tensors of its names, shapes and types; of a file with others no tensor is read.

    Raises:
        UserError: the file is missing or is no such file.
    """
    for _ in range(_AGAIN):
        before = _version(path)
        try:
            found = _read_once(path, like)
        except UserError:
            if _version(path) == before:
                raise
        else:
            # safetensors opens the file by its name more than once: somebody may have replaced it in between.
            if _version(path) == before:
                return found
    raise UserError(f"{path} cannot be read: it is replaced all the time")


def _version(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read_once(path: Path, like: Mapping[str, Tensor] | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        if not path.is_file():
            raise UserError(f"{path} cannot be read: it is no file" if path.exists() else f"{path} does not exist")
        with path.open("rb") as begin:
            header = int.from_bytes(begin.read(8), "little")
        if header > MOST_HEADER:
            raise ValueError(f"its header would have {header:,} bytes; no such file needs more than {MOST_HEADER:,}")
        with safe_open(path, framework="pt") as file:
            facts = parse_json((file.metadata() or {})["trunkline"], name=str(path))
            if not isinstance(facts, dict):
                raise ValueError("what it says beside its tensors has no keys")
            names = list(file.keys())
            if like is not None:
                slices = {name: file.get_slice(name) for name in names}
                found = {name: (list(one.get_shape()), one.get_dtype()) for name, one in slices.items()}
                _refuse_misfits(found, like, name=str(path))
            return {name: file.get_tensor(name) for name in names}, facts
    except UserError:
        raise
    except (OSError, SafetensorError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def load_into(module: torch.nn.Module, tensors: Mapping[str, Tensor], *, name: str) -> None:
    """Put tensors into a module of the same names, shapes and types.

    Raises:
        UserError: any of them differ.
    """
    found = {key: (list(tensor.shape), _CODES.get(tensor.dtype, str(tensor.dtype))) for key, tensor in tensors.items()}
    _refuse_misfits(found, module.state_dict(), name=name)
    module.load_state_dict(dict(tensors))


def _refuse_misfits(found: Mapping[str, tuple[list[int], str]], like: Mapping[str, Tensor], *, name: str) -> None:
    wrong = [f"{key} is missing" for key in like if key not in found]
    wrong += [f"{key} is none of its tensors" for key in found if key not in like]
    for key, tensor in like.items():
        wanted = (list(tensor.shape), _CODES.get(tensor.dtype, str(tensor.dtype)))
        if key in found and found[key] != wanted:
            wrong.append(f"{key} is {found[key][1]} {found[key][0]}, not {wanted[1]} {wanted[0]}")
    if wrong:
        rest = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(f"{name} does not fit the network of its config: {'; '.join(wrong[:3])}{rest}")
