"""Reading untrusted files: within bounds or refused in words; nothing in them is ever run."""

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from trunkline.errors import UserError

MOST = 1 << 26
"""Bytes of a file of JSON, unless a file may have more."""


def read_text(path: Path, *, most: int = MOST) -> str:
    """What a text file holds.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        UserError: it is not there, is no file, has more bytes, or is no UTF-8.
    """
    try:
        # A pipe would be waited for and a device never ends, so what is no file is not opened.
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} cannot be read: it is no file")
        if found.st_size > most:
            raise UserError(f"{path} cannot be read: it has more than {most:,} bytes, which no such file needs")
        with path.open("rb") as file:
            return file.read(most).decode()
    except FileNotFoundError:
        raise UserError(f"{path} cannot be read: it does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def read_json(path: Path, *, most: int = MOST) -> Any:
    """What a file of JSON holds.

    Raises:
        UserError: what `read_text` and `parse_json` find wrong.
    """
    return parse_json(read_text(path, most=most), name=str(path))


def parse_json(text: str, *, name: str) -> Any:
    """What JSON says, taken by the letter: every number finite, every key once, every character whole.

    Args:
        text: the JSON.
        name: of the file, for messages.

    Raises:
        UserError: anything else.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_each_once)
        if _HALF_ESCAPED.search(text) and any(_HALF.search(one) for one in _texts(value)):
            raise ValueError("it holds half a character")
    except RecursionError:
        raise UserError(f"{name} cannot be read: it is nested too deep") from None
    except ValueError as error:
        raise UserError(f"{name} cannot be read: {error}") from None
    return value


def refuse_half_characters(text: str) -> None:
    """Refuse text that no file can hold: an escape may write half of a character.

    Raises:
        ValueError: there is such a half.
    """
    if _HALF.search(text):
        raise ValueError("it holds half a character")


def refuse_links_out(folder: Path) -> None:
    """Make sure that what lies in a run folder, and in the folders right below, does lie there.

    Raises:
        UserError: a link that leads elsewhere, or a folder that cannot be listed.
    """
    try:
        whole = folder.resolve()
        for path in (one for place in (folder, *folder.glob("*/")) for one in place.iterdir()):
            if path.is_symlink() and not path.resolve().is_relative_to(whole):
                raise UserError(
                    f"{path} is a link to {os.readlink(path)}, outside of its folder; put what it leads to in its place"
                )
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise UserError(f"{folder} cannot be read: {error}") from None


_HALF = re.compile("[\ud800-\udfff]")
_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is too large")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value:
            yield from _texts(one)
        if isinstance(value, dict):
            for one in value.values():
                yield from _texts(one)


def printable(text: str) -> str:
    """The text without what a terminal would take for an order: names and files may be a stranger's."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text)
