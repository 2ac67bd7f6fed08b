"""Staged folders: nobody reads one before it is whole, and it goes when its writer dies."""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
ENDING = ".trunkline-partial"
"""Nobody else's folders end so: those that end so are removed."""
OLD = 24 * 3600
"""Seconds after which a folder in which nothing happens is abandoned, where locks cannot say so."""


@final
class Staged:
    """A new folder beside its place, locked for as long as this process lives and wants it.

    Folders that dead processes left beside it are removed first.

    Args:
        place: where the folder shall lie.

    Raises:
        OSError: no folder can be made there.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        place.parent.mkdir(parents=True, exist_ok=True)
        sweep(place.parent)
        while True:
            self.path = place.with_name(f"{place.name}.{uuid.uuid4().hex}{ENDING}")
            self.path.mkdir()
            self._lock = _lock(self.path)
            if self.path.is_dir():
                return
            self._unlock()  # somebody swept it before it was locked

    def put(self, read: Callable[[Path], T | None]) -> T:
        """Rename the folder into its place; what `read` makes of it there.

        If a folder that `read` can read lies there already, that one stays and this one goes; another is replaced.

        Raises:
            OSError: it cannot be renamed, or not be read.
        """
        found = read(self.path)
        if found is None:
            raise OSError(errno.EIO, "what was written cannot be read")
        while True:
            try:
                self.path.rename(self.place)
                self._unlock()
                sync(self.place.parent)
                return found
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            there = read(self.place)
            if there is not None:
                self.drop()
                return there
            damaged = self.place.with_name(f"{self.place.name}.{uuid.uuid4().hex}{ENDING}")
            with suppress(FileNotFoundError):
                self.place.rename(damaged)
            shutil.rmtree(damaged, ignore_errors=True)

    def drop(self) -> None:
        """Remove the folder, if it is not in its place."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(folder: Path) -> None:
    """Remove what dead processes left in a folder."""
    for path in folder.glob(f"*{ENDING}"):
        try:
            lock = _lock(path, wait=False)
        except BlockingIOError:
            continue  # its writer lives
        try:
            if lock is not None or time.time() - max(p.stat().st_mtime for p in (path, *path.iterdir())) > OLD:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # gone meanwhile
        finally:
            if lock is not None:
                os.close(lock)


def sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where its file system can."""
    if fcntl is None:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of network drives, which know files alone
            raise
    finally:
        os.close(descriptor)


def _lock(folder: Path, *, wait: bool = True) -> int | None:
    """A descriptor that holds the folder's lock until it is closed or the process dies; None where there are no locks.

    Raises:
        BlockingIOError: somebody else holds it, and `wait` is false.
    """
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
