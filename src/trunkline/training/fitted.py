"""`encoder.json`: what the training rows taught about columns and labels."""

import json
from collections.abc import Sequence
from pathlib import Path

from trunkline.errors import UserError
from trunkline.tables import Encoder, Labels
from trunkline.tasks import Task
from trunkline.training.files import write_text


def write_fitted(path: Path, encoder: Encoder, labels: Labels) -> None:
    """Write both into one JSON file."""
    learned = {"columns": json.loads(encoder.to_json()), "labels": labels.to_json()}
    write_text(path, json.dumps(learned, ensure_ascii=False, allow_nan=False))


def read_fitted(path: Path, tasks: Sequence[Task]) -> tuple[Encoder, Labels]:
    """What `write_fitted` wrote, for the same tasks.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        learned = json.loads(path.read_text(encoding="utf-8"))
        return Encoder.from_json(json.dumps(learned["columns"])), Labels.from_json(tasks, learned["labels"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
