"""The store: encoded rows, in memory or in a folder that is mapped into it."""

import mmap
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor

from trunkline.nn.inputs import Ragged
from trunkline.tables.batch import Batch
from trunkline.untrusted import read_json

META = "meta.json"
FORMAT = 1
"""Of the folder; a store of another format is written anew."""


@final
class Store:
    """All rows of a part, encoded once.

    On disk it is a folder that `Writer` wrote: raw little-endian numbers, a file an array, and `meta.json`, which says
    their types and shapes. A folder is written once and stands for its content; it never changes afterwards.

    Args:
        rows: all of them.
        facts: what else is known about them, in JSON values.
        maps: the mapped files in which they lie, if they lie in files.
        folder: of these files.
    """

    def __init__(
        self,
        rows: Batch,
        *,
        facts: Mapping[str, Any] | None = None,
        maps: Iterable[mmap.mmap] = (),
        folder: Path | None = None,
    ) -> None:
        self.rows = rows
        self.facts = dict(facts or {})
        self.folder = folder
        self.bytes = sum(array.nbytes for array in named_arrays(rows).values())
        self._maps = list(maps)

    @classmethod
    def of(cls, rows: Batch, *, facts: Mapping[str, Any] | None = None) -> Self:
        """Rows in memory."""
        return cls(rows, facts=facts)

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """The rows that lie in a folder; None where there are none, or they are damaged."""
        try:
            meta = read_json(folder / META)
            if meta["format"] != FORMAT:
                return None
            if any("/" in name or "\\" in name for name in meta["arrays"]):
                return None
            maps: list[mmap.mmap] = []
            tensors = {
                name: _map(folder / file_name(name, array["dtype"]), array["dtype"], tuple(array["shape"]), maps)
                for name, array in meta["arrays"].items()
            }
            rows = batch_of(meta, tensors)
            if not _fits(rows) or not isinstance(meta["facts"], dict):
                return None
            return cls(rows, facts=meta["facts"], maps=maps, folder=folder)
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError):
            return None

    def __len__(self) -> int:
        return len(self.rows)

    def of_task(self, name: str) -> "Store":
        """The same rows, in the same place, with the labels and weights of one task alone."""
        labels, weights = (
            {k: v for k, v in some.items() if k == name} for some in (self.rows.labels, self.rows.weights)
        )
        return Store(replace(self.rows, labels=labels, weights=weights), facts=self.facts, maps=self._maps)

    def release(self) -> None:
        """Let go of the memory that rows read from files occupy; they are read again when they are needed."""
        for mapped in self._maps:
            if hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)


def named_arrays(batch: Batch) -> dict[str, np.ndarray]:
    """Every array of a batch, by the name under which a store has it."""
    tensors = {"ids": batch.ids, "numbers": batch.numbers}
    tensors |= {f"label.{i}": label for i, label in enumerate(batch.labels.values())}
    tensors |= {f"weight.{i}": weight for i, weight in enumerate(batch.weights.values())}
    for i, ragged in enumerate(batch.lists):
        tensors |= {f"list.{i}.values": ragged.values, f"list.{i}.offsets": ragged.offsets}
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def names_of(batch: Batch) -> dict[str, Any]:
    """What the names of a batch's arrays stand for."""
    return {"labels": list(batch.labels), "weights": list(batch.weights), "lists": len(batch.lists)}


def batch_of(names: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Batch:
    """The batch of these `named_arrays` and `names_of`."""
    return Batch(
        tensors["ids"],
        tensors["numbers"],
        {task: tensors[f"label.{i}"] for i, task in enumerate(names["labels"])},
        {task: tensors[f"weight.{i}"] for i, task in enumerate(names["weights"])},
        tuple(Ragged(tensors[f"list.{i}.values"], tensors[f"list.{i}.offsets"]) for i in range(names["lists"])),
    )


_PIECE = 1 << 20
"""Rows whose lists are looked at at once."""


def _fits(rows: Batch) -> bool:
    """Whether all arrays are of as many rows and of the types that an encoder gives; what they hold is not read.

    Only the offsets of lists are: what lies at a wrong one may lie anywhere.
    """
    n = len(rows)
    columns = [*rows.labels.values(), *rows.weights.values()]
    return (
        (rows.ids.ndim, rows.ids.dtype) == (2, torch.int32)
        and (rows.numbers.ndim, rows.numbers.dtype, len(rows.numbers)) == (2, torch.float32, n)
        and all(one.shape == (n,) and one.dtype in (torch.float32, torch.float64) for one in columns)
        and all(_is_ragged(one, n) for one in rows.lists)
    )


def _is_ragged(ragged: Ragged, rows: int) -> bool:
    values, offsets = ragged
    if (values.ndim, values.dtype) != (1, torch.int32) or (offsets.shape, offsets.dtype) != ((rows + 1,), torch.int64):
        return False
    if int(offsets[0]) != 0 or int(offsets[-1]) != len(values):
        return False
    # A piece at a time: a store may be larger than memory.
    return all(not (np.diff(offsets[i : i + _PIECE + 1].numpy()) < 0).any() for i in range(0, rows, _PIECE))


def file_name(name: str, dtype: str) -> str:
    """`ids` of `<i4` lies in `ids.i4`."""
    return f"{name}.{dtype.lstrip('<|')}"


def _map(path: Path, dtype: str, shape: tuple[int, ...], maps: list[mmap.mmap]) -> Tensor:
    """A file as a tensor that is read from it as it is used.

    Raises:
        ValueError: the file's size is another.
    """
    size = int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64))
    if path.stat().st_size != size:
        raise ValueError(f"{path.name} holds {path.stat().st_size} bytes, not {size}")
    if size == 0:  # an empty file cannot be mapped
        return torch.from_numpy(np.empty(shape, dtype))
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
        except OSError:
            # A file larger than memory: the system will not promise room for a copy of it on write.
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    maps.append(mapped)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.frombuffer(mapped, dtype).reshape(shape))
