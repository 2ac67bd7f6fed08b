"""Downloading one public file."""

import http.client
import urllib.request
from collections.abc import Callable
from pathlib import Path

from trunkline.errors import UserError

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes so far and the bytes in all (None if the server does not say)."""


def silent(name: str, done: int, total: int | None) -> None:
    """A `Progress` that shows nothing."""


def download(url: str, target: Path, *, progress: Progress = silent, timeout: float = 60.0) -> None:
    """Fetch `url` into `target`.

    Args:
        url: an http, https or file address.
        target: the file to write; its folder exists. What an interrupted download leaves is the caller's
            to remove.
        progress: called after every block.
        timeout: seconds without an answer after which the server counts as unreachable.

    Raises:
        UserError: if the address cannot be reached or the connection ends early.
    """
    remedy = (
        f"fetch the file in another way, put it into a folder as {target.name} and name that folder with --from FOLDER"
    )
    # Some hosts turn away urllib's own name.
    request = urllib.request.Request(url, headers={"User-Agent": "trunkline"})
    done = 0
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply, target.open("wb") as out:
            length = reply.headers.get("Content-Length")
            total = int(length) if length else None
            while block := reply.read(1 << 18):
                out.write(block)
                done += len(block)
                progress(target.name, done, total)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{url} could not be downloaded ({error}); {remedy}") from error
    # A sized read returns short, without an error, when the connection drops.
    if total is not None and done != total:
        raise UserError(f"{url} ended after {done:,} of {total:,} bytes; try again, or {remedy}")
