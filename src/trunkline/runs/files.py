"""Atomic writes: files written beside and renamed, so that a reader never sees half of one."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from trunkline.errors import UserError
from trunkline.tables.staged import sync


def write_text(path: Path, text: str) -> None:
    """Write a text file beside and rename it.

    Raises:
        UserError: it cannot be written; what was there before is still there.
    """
    with beside(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, as `write_text` does; a NaN or an infinity is an error."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def beside(path: Path) -> Iterator[Path]:
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
