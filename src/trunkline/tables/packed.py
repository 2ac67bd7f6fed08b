"""Compressed files and files in other encodings, as plain UTF-8."""

import atexit
import bz2
import codecs
import gzip
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from trunkline.errors import UserError

COMPRESSED = (".gz", ".bz2")
BLOCK = 1 << 20
"""Bytes decoded at a time."""
_LOCK = threading.Lock()
_WRITTEN: dict[tuple[Path, int, int, str], Path] = {}
"""By the state of a file and its encoding, what was written of it."""


def open_packed(path: Path) -> IO[bytes]:
    """The bytes of a file, without its compression."""
    packed = path.suffix.lower()
    if packed == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return cast("IO[bytes]", bz2.open(path, "rb")) if packed == ".bz2" else path.open("rb")


def unpacked(path: Path) -> Path:
    """The file without its compression, once for each state of it, in a folder that goes away with the process."""

    def write(plain: Path) -> None:
        with open_packed(path) as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file, BLOCK)

    return _once(path, "", write)


def in_utf8(path: Path, encoding: str) -> Path:
    """The text of a file in UTF-8, once for each state of it, in a folder that goes away with the process.

    Raises:
        UserError: an encoding that there is not, or bytes that are no text in it.
    """

    def write(plain: Path) -> None:
        decoder = codecs.getincrementaldecoder(encoding)()
        with open_packed(path) as packed, plain.open("wb") as file:
            before = 0
            try:
                while block := packed.read(BLOCK):
                    file.write(decoder.decode(block).encode())
                    before += len(block)
                file.write(decoder.decode(b"", final=True).encode())
            except UnicodeError as error:
                raise UserError(
                    f"{path} is no text in {encoding} (near byte {before:,}: {error}); name another data.encoding"
                ) from None

    return _once(path, encoding, write)


def _once(path: Path, encoding: str, write: Callable[[Path], None]) -> Path:
    """What was written of this state of a file before, or is written now."""
    state = path.stat()
    key = (path.resolve(), state.st_size, state.st_mtime_ns, encoding)
    with _LOCK:
        plain = _WRITTEN.get(key)
        if plain is None or not plain.exists():
            plain = _new(path)
            write(plain)
            _WRITTEN[key] = plain
    return plain


def _new(path: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="trunkline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / (path.stem if path.suffix.lower() in COMPRESSED else path.name)
