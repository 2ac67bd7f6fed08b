"""Record of a run's quality, and of changes that were tried: kept in its folder beside the model it is of."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import final

from pydantic import TypeAdapter, ValidationError

from trunkline.errors import UserError
from trunkline.insight.diagnosis.findings import Finding, Tried
from trunkline.insight.quality.task_quality import TaskQuality
from trunkline.runs.files import write_json
from trunkline.runs.folder import RunFolder
from trunkline.untrusted import read_json

FILE = "quality.json"


@final
@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a run.

    Attributes:
        key: stands for the model.
        tasks: quality by task.
        tried: by kind and subject of a finding, the changes that were tried for it.
    """

    key: str
    tasks: dict[str, TaskQuality]
    tried: dict[str, dict[str, tuple[Tried, ...]]]

    def tell(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings with what was tried for them."""
        return [replace(one, tried=self.tried.get(one.kind, {}).get(one.subject, one.tried)) for one in findings]


def write_record(folder: Path, tasks: Mapping[str, TaskQuality], findings: Iterable[Finding]) -> None:
    """Keep it; a folder that cannot be written is left as it is."""
    tried: dict[str, dict[str, tuple[Tried, ...]]] = {}
    for one in findings:
        if known := tuple(tried_one for tried_one in one.tried if tried_one.known):
            tried.setdefault(one.kind, {})[one.subject] = known
    with suppress(OSError, UserError):
        write_json(folder / FILE, asdict(Record(key=_key(folder), tasks=dict(tasks), tried=tried)))


def read_record(folder: Path, tasks: Collection[str]) -> Record | None:
    """What is kept of the model that lies there now, with these tasks; None where nothing is, or something else."""
    try:
        kept = TypeAdapter(Record).validate_python(read_json(folder / FILE))
        mine = kept.key == _key(folder) and set(kept.tasks) <= set(tasks)
        return kept if mine and all(name == one.task for name, one in kept.tasks.items()) else None
    except (OSError, ValidationError, UserError):
        return None


def _key(folder: Path) -> str:
    """Stands for the selected model and how it is calibrated."""
    run, digest = RunFolder(folder), hashlib.blake2b(digest_size=16)
    for file in (run.model, run.history, run.calibration):
        if file.exists():
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "blake2b").digest())
    return digest.hexdigest()
