"""Tensors in files, read within bounds, without pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trunkline.errors import UserError
from trunkline.runs.files import beside
from trunkline.untrusted import parse_json


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts into one safetensors file, as `write_text` does."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"trunkline": json.dumps(facts, allow_nan=False)}
    with beside(path) as partial:
        save_file(plain, partial, metadata=metadata)


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
