"""Original files of public data sets: finding, unpacking and checking them."""

import bz2
import gzip
import hashlib
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from trunkline.errors import Problems, UserError

_PACKED: dict[str, Callable[[Path], gzip.GzipFile | bz2.BZ2File]] = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File}
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2")
_UNREADABLE = (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Digest:
    """A published hash of a file's contents.

    Args:
        kind: the hash function; `git-blob` is git's SHA-1 over a header with the size and the contents.
        value: the hash in hexadecimal.
    """

    kind: Literal["md5", "sha256", "git-blob"]
    value: str

    def of(self, path: Path) -> str:
        """The hash of this kind of the file at `path`, in hexadecimal."""
        if self.kind == "git-blob":
            sha = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        else:
            sha = hashlib.new(self.kind, usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                sha.update(block)
        return sha.hexdigest()


@dataclass(frozen=True)
class Original:
    """A file as it was published, described without any compression around it.

    Args:
        name: its published name, without `.gz` or `.bz2`.
        size: its length in bytes, where that is known.
        digest: its hash, where that is known.
    """

    name: str
    size: int | None = None
    digest: Digest | None = None

    def find(self, folder: Path) -> Path | None:
        """The file, plain or compressed, in `folder`, or None."""
        candidates = (folder / f"{self.name}{suffix}" for suffix in ("", *_PACKED))
        return next((path for path in candidates if path.is_file()), None)

    def unpacked(self, source: Path, work: Path, place: str, problems: Problems) -> Path:
        """The plain file behind `source`, uncompressed into `work` if need be, and checked.

        Args:
            source: the file that `find` returned.
            work: a folder for the uncompressed copy.
            place: where the user knows the file to be.
            problems: gets a sentence for a file that is unreadable or not the published one.
        """
        plain = source
        if source.name != self.name:
            plain = work / self.name
            try:
                with _PACKED[source.suffix](source) as packed, plain.open("wb") as out:
                    shutil.copyfileobj(packed, out, 1 << 20)
            except _UNREADABLE as error:
                problems.add(f"{source.name} in {place} is not a readable {source.suffix} file ({error}); get it again")
                return plain
        self.check(plain, f"{source.name} in {place}", problems)
        return plain

    def check(self, plain: Path, shown: str, problems: Problems) -> None:
        """Compare size and hash of `plain` with what was published; `shown` is what to call it."""
        size = plain.stat().st_size
        found = self.digest.of(plain) if self.digest else None
        if self.size in (None, size) and (self.digest is None or found == self.digest.value):
            return
        expected = [f"{self.size:,} bytes"] if self.size is not None else []
        seen = [f"{size:,} bytes"]
        if self.digest:
            expected.append(f"{self.digest.kind} {self.digest.value}")
            seen.append(f"{self.digest.kind} {found}")
        problems.add(
            f"{shown} is not the published {self.name}: expected {', '.join(expected)}, "
            f"found {', '.join(seen)} (both without compression); get the file again and name the folder "
            "that holds it with --from FOLDER"
        )


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield ((name, zipped.open(name)) for name in zipped.namelist() if not name.endswith("/"))
    elif not tarfile.is_tarfile(archive):
        raise tarfile.ReadError("neither zip nor tar")
    else:
        with tarfile.open(archive) as tarred:
            files = (entry for entry in tarred if entry.isfile())
            yield ((entry.name, file) for entry in files if (file := tarred.extractfile(entry)))


def unpack(archive: Path, names: Collection[str], folder: Path, *, shown: str) -> None:
    """Copy the wanted files of a zip or tar archive, also of one inside it, into `folder`.

    Only the last part of a member's name counts, so an archive cannot write outside `folder`.

    Args:
        archive: a .zip or a .tar with any compression.
        names: the files to copy, without `.gz` or `.bz2`.
        folder: an existing folder.
        shown: what the user knows the archive by.

    Raises:
        UserError: if the archive cannot be read.
    """
    try:
        with _members(archive) as members:
            for member, file in members:
                base = Path(member).name
                inner = base.endswith(_ARCHIVES)
                if not inner and base.removesuffix(".gz").removesuffix(".bz2") not in names:
                    continue
                with file, (folder / base).open("wb") as out:
                    shutil.copyfileobj(file, out, 1 << 20)
                if inner:
                    unpack(folder / base, names, folder, shown=f"{base} in {shown}")
    except _UNREADABLE as error:
        raise UserError(
            f"{shown} is not a readable archive ({error}); get it again and name the folder that holds it "
            "with --from FOLDER"
        ) from error
