"""Writing a store batch by batch."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
import torch

from trunkline.errors import UserError
from trunkline.tables.batch import Batch
from trunkline.tables.staged import Staged, sync
from trunkline.tables.store import FORMAT, META, Store, batch_of, file_name, named_arrays, names_of


@final
class Writer:
    """One store under construction, as a context that removes it again unless it was done.

    A store on disk is whole or not there: it is written beside its place, synced, and renamed. Of two processes that
    write the same one, the later takes the earlier's.

    Args:
        folder: where it shall lie; None to keep it in memory.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._parent = None if folder is None else folder.parent
        self._arrays: dict[str, _FileArray | _MemoryArray] = {}
        self._names: dict[str, Any] = {}
        self._staged: Staged | None = None
        if folder is not None:
            with writing(self._parent):
                self._staged = Staged(folder)

    def add(self, batch: Batch) -> None:
        """Append further rows, of the same columns and tasks.

        Raises:
            UserError: the folder cannot be written, or the disk is full.
        """
        arrays = named_arrays(batch)
        with writing(self._parent):
            if not self._arrays:
                self._names = names_of(batch)
                for name, array in arrays.items():
                    self._arrays[name] = self._new(name, array)
            elif names_of(batch) != self._names:
                raise ValueError(f"rows with {names_of(batch)} do not go on those with {self._names}")
            else:
                for i in range(len(batch.lists)):
                    # These rows' ids lie after those of all rows before.
                    offsets = f"list.{i}.offsets"
                    arrays[offsets] = arrays[offsets][1:] + self._arrays[f"list.{i}.values"].length
            for name, array in arrays.items():
                self._arrays[name].add(array)

    def done(self, facts: Mapping[str, Any] | None = None) -> Store:
        """The store, in its place; or the one that lies there already.

        Args:
            facts: what else is known about the rows, in JSON values.

        Raises:
            UserError: the folder cannot be written, or the disk is full.
        """
        arrays = self._arrays
        if self._staged is None:
            tensors = {name: torch.from_numpy(a.array) for name, a in arrays.items() if isinstance(a, _MemoryArray)}
            return Store(batch_of(self._names, tensors), facts=facts)
        with writing(self._parent):
            described = {name: array.done() for name, array in arrays.items() if isinstance(array, _FileArray)}
            meta = {"format": FORMAT, **self._names, "arrays": described, "facts": dict(facts or {})}
            with (self._staged.path / META).open("w", encoding="utf-8") as file:
                json.dump(meta, file, ensure_ascii=False, allow_nan=False)
                file.flush()
                os.fsync(file.fileno())
            sync(self._staged.path)
            store = self._staged.put(Store.open)
            store.folder = self._staged.place
            return store

    def drop(self) -> None:
        """Remove what was written, unless it is done."""
        for array in self._arrays.values():
            array.drop()
        if self._staged is not None:
            self._staged.drop()

    def _new(self, name: str, first: np.ndarray) -> "_FileArray | _MemoryArray":
        return _MemoryArray(first) if self._staged is None else _FileArray(self._staged.path, name, first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.drop()


@final
class _FileArray:
    """An array that grows in a file."""

    def __init__(self, folder: Path, name: str, first: np.ndarray) -> None:
        self.dtype, self.tail, self.length = first.dtype.newbyteorder("<"), first.shape[1:], 0
        self._file = (folder / file_name(name, self.dtype.str)).open("wb")

    def add(self, array: np.ndarray) -> None:
        _check(array, self.dtype, self.tail)
        self._file.write(np.ascontiguousarray(array, dtype=self.dtype).data)
        self.length += len(array)

    def done(self) -> dict[str, Any]:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"dtype": self.dtype.str, "shape": [self.length, *self.tail]}

    def drop(self) -> None:
        with suppress(OSError):  # what it held back may not fit on the disk
            self._file.close()


@final
class _MemoryArray:
    """An array that grows where it lies, so that rows are never there twice."""

    def __init__(self, first: np.ndarray) -> None:
        self.array = np.empty((0, *first.shape[1:]), first.dtype)

    @property
    def length(self) -> int:
        return len(self.array)

    def add(self, array: np.ndarray) -> None:
        _check(array, self.array.dtype, self.array.shape[1:])
        length = self.length
        self.array.resize((length + len(array), *array.shape[1:]), refcheck=False)
        self.array[length:] = array

    def drop(self) -> None:
        pass


def _check(array: np.ndarray, dtype: np.dtype[Any], tail: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape[1:] != tail:
        raise ValueError(f"{array.dtype} {array.shape[1:]} does not go on {dtype} {tail}")


@contextmanager
def writing(folder: Path | None) -> Iterator[None]:
    """Turn what goes wrong with a folder of stores into words.

    Raises:
        UserError: an `OSError` was raised inside.
    """
    try:
        yield
    except OSError as error:
        there = next((one for one in (folder, *folder.parents) if one.is_dir()), None) if folder else None
        free = f" ({shutil.disk_usage(there).free / 1e9:.1f} GB are free there)" if there else ""
        raise UserError(
            f"encoded rows cannot be written to {folder}: {error.strerror or error}{free}; name another folder in "
            "data.store, or keep them in memory with `store: none`"
        ) from error
