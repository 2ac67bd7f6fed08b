"""The store folder: encoded rows, and what was fitted to encode them, kept for the next run."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

from trunkline.config import DataConfig
from trunkline.runs.artifacts import read_fitted, write_fitted
from trunkline.runs.files import write_text
from trunkline.tables import Encoder, Feature, Labels, make_feature
from trunkline.tables.staged import Staged
from trunkline.tables.writer import writing
from trunkline.tasks import Task
from trunkline.untrusted import read_json

ENCODER, FACTS = "encoder.json", "facts.json"


@final
class Fit(NamedTuple):
    """Fitted encoder and labels: what the training rows taught.

    Attributes:
        encoder: of the features.
        labels: of the tasks.
        features: those in use.
        key: stands for how encoder and labels encode.
    """

    encoder: Encoder
    labels: Labels
    features: list[Feature]
    key: str


def store_folder(data: DataConfig) -> Path | None:
    """Where stores lie: as `data.store` says, else `$TRUNKLINE_STORE`, else the user's cache; None for in memory.

    Raises:
        UserError: the folder that was asked for cannot be made or written; the cache is then done without.
    """
    asked = data.store or os.environ.get("TRUNKLINE_STORE")
    if asked == "none":
        return None
    if asked is not None:
        folder = Path(asked).expanduser()
        with writing(folder):
            _make(folder)
        return folder
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trunkline"
        _make(folder)
    except (OSError, RuntimeError):  # no home, or none of one's own
        return None
    return folder


def load_fit(folder: Path, tasks: Sequence[Task]) -> Fit | None:
    """What `save_fit` put there, for the same tasks; None where there is nothing, or it is damaged."""
    facts = _facts(folder)
    if facts is None:
        return None
    try:
        encoder, labels = read_fitted(folder / ENCODER, tasks)
        return Fit(encoder, labels, [make_feature(**feature) for feature in facts["features"]], facts["key"])
    except (ValueError, KeyError, TypeError):
        return None


def save_fit(folder: Path, fit: Fit) -> None:
    """Keep what was fitted, whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    with writing(folder.parent):
        staged = Staged(folder)
        try:
            write_fitted(staged.path / ENCODER, fit.encoder, fit.labels)
            facts = {
                "bytes": (staged.path / ENCODER).stat().st_size,
                "features": [one.to_plain() for one in fit.features],
                "key": fit.key,
            }
            write_text(staged.path / FACTS, json.dumps(facts, ensure_ascii=False, allow_nan=False))
            staged.put(_facts)
        finally:
            staged.drop()


def _facts(folder: Path) -> dict[str, Any] | None:
    """What lies beside the encoder, which is then whole: it may be large, and is not parsed to find that out."""
    try:
        facts: dict[str, Any] = read_json(folder / FACTS)
        return facts if (folder / ENCODER).stat().st_size == facts["bytes"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, os.strerror(13))
