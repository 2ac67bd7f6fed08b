"""The fitted encoder and labels, `encoder.json`."""

import json
from collections.abc import Sequence
from pathlib import Path

from trunkline.errors import UserError
from trunkline.runs.files import write_text
from trunkline.tables import Encoder, Labels
from trunkline.tasks import Task
from trunkline.untrusted import read_json, refuse_links_out

MOST = 1 << 30
"""Bytes of the file: vocabularies of tens of millions of values."""


def write_fitted(path: Path, encoder: Encoder, labels: Labels) -> None:
    """Write both into one JSON file."""
    learned = {"columns": json.loads(encoder.to_json()), "labels": labels.to_json()}
    write_text(path, json.dumps(learned, ensure_ascii=False, allow_nan=False))


def read_fitted(path: Path, tasks: Sequence[Task]) -> tuple[Encoder, Labels]:
    """What `write_fitted` wrote, for the same tasks.

    Raises:
        UserError: the file is missing, damaged or of other tasks; a link in its folder leads out of it.
    """
    refuse_links_out(path.parent)
    learned = read_json(path, most=MOST)
    if not isinstance(learned, dict) or not {"columns", "labels"} <= set(learned):
        raise UserError(f"{path} cannot be read: it must hold columns and labels")
    try:
        return Encoder.from_plain(learned["columns"]), Labels.from_json(tasks, learned["labels"])
    except UserError as error:
        raise UserError(f"{path} cannot be read: {problem}" for problem in error.problems) from None
