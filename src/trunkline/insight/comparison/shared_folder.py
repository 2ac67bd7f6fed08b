"""A folder that many runs on the same encoded rows share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from trunkline.errors import UserError
from trunkline.insight.comparison.shared_data import rows_key
from trunkline.preparation.data import Data
from trunkline.runs.artifacts import write_fitted
from trunkline.runs.files import write_text

ENCODER = "encoder.json"


def begin(folder: Path, what: str, config: Mapping[str, Any], data: Data) -> str:
    """Make the folder ready, or find that this very thing was begun there; the key of its rows.

    Args:
        folder: where.
        what: is done there: `comparison`, `study`.
        config: all that stays the same, in plain values.
        data: the encoded rows.

    Raises:
        UserError: another one, or something else, lies there.
    """
    key, facts = rows_key(data), folder / f"{what}.yaml"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; give a folder for the {what} (--out)")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".begin.lock"):
        if facts.exists():
            _check_same(folder, what, yaml.safe_load(facts.read_text(encoding="utf-8")), config, key)
            return key
        if any(not file.name.startswith(".") for file in folder.iterdir()):
            raise UserError(f"{folder} holds something else than a {what}; choose another folder with --out")
        write_fitted(folder / ENCODER, data.encoder, data.labels)
        write_text(facts, yaml.safe_dump({"rows": key, "config": dict(config)}, sort_keys=False, allow_unicode=True))
    return key


def _check_same(folder: Path, what: str, began: Mapping[str, Any], config: Mapping[str, Any], key: str) -> None:
    names = dict.fromkeys([*config, *began["config"]])
    changed = [name for name in names if config.get(name) != began["config"].get(name)]
    changed += ["rows"] if key != began["rows"] else []
    if changed:
        raise UserError(
            f"{folder} holds a {what} of another config: {', '.join(changed)} differ; choose another folder with --out"
        )
