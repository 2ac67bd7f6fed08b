"""The history of a training, one JSON object a line."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from trunkline.errors import UserError
from trunkline.runs.files import cannot_write, write_text
from trunkline.untrusted import parse_json, read_text

MOST = 1 << 30
"""Bytes of a history: millions of lines."""


@final
class History:
    """Appends to `history.jsonl`.

    Args:
        path: the file.
        after: when resuming, the checkpoint's steps and epochs done: lines of what came later are dropped first.
        durable: whether `sync` makes sure of the lines; a temporary folder need not survive a power cut.

    Raises:
        UserError: it cannot be written.
    """

    def __init__(self, path: Path, *, after: tuple[int, int] | None = None, durable: bool = True) -> None:
        kept = [line for line in read_history(path) if after is not None and _before(line, *after)]
        self.path, self.durable = path, durable
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one line, in one piece; a number that is not finite is null there.

        Raises:
            UserError: it cannot be written.
        """
        data = (json.dumps(_finite(line), allow_nan=False) + "\n").encode()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            try:
                written = os.write(descriptor, data)
                if written < len(data):  # a full disk takes what it can; the next piece says why
                    os.write(descriptor, data[written:])
            finally:
                os.close(descriptor)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def sync(self) -> None:
        """Make what was written survive a power cut.

        Raises:
            UserError: it cannot be written.
        """
        if not self.durable:
            return
        try:
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error


def _before(line: Mapping[str, Any], steps: int, epochs: int) -> bool:
    """Whether a line tells of what a checkpoint holds: at an epoch's last step its end may still be to come."""
    return bool(line["epoch"] < epochs if "valid" in line else line["step"] <= steps)


def read_history(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a history; a last line cut short by a kill is left out.

    Raises:
        UserError: it is no file, no text, or a line has no step.
    """
    lines = []
    if path.exists():
        for text in read_text(path, most=MOST).splitlines():
            try:
                line = parse_json(text, name=str(path))
            except UserError:
                break
            if not isinstance(line, dict) or type(line.get("step")) is not int:
                raise UserError(f"{path} holds what no run writes: a line without its step; ask for the folder again")
            lines.append(line)
    return lines


def _finite(value: Any) -> Any:
    """Plain values with null for what is no number: a training that diverges is told as far as it came."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value
