"""What happened, one JSON object a line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final


@final
class History:
    """Appends to `history.jsonl`.

    Args:
        path: the file.
        after: when resuming, lines of later steps than this are dropped first.
    """

    def __init__(self, path: Path, *, after: int | None = None) -> None:
        kept = [line for line in read_history(path) if after is not None and line["step"] <= after]
        self.path = path
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in kept)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")


def read_history(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a history; a last line cut short by a kill is left out."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines
