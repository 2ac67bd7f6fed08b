"""Findings and importance of a run: worked out once, and kept in the run's folder."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from pydantic import TypeAdapter, ValidationError

from trunkline.errors import UserError
from trunkline.insight.diagnosis.findings import DETECTORS, Finding
from trunkline.insight.importance.result import Importance
from trunkline.runs.files import write_json
from trunkline.runs.folder import RunFolder

FILE = "insight.json"


@final
@dataclass(frozen=True, kw_only=True)
class Insight:
    """Findings and importance that a run's page shows beside what the run wrote down.

    Attributes:
        findings: of the diagnosis, the weightiest first; None where there is no diagnosis.
        looked: at what.
        skipped: what could not be looked at, and at last why.
        importance: of the features; None where it could not be asked for.
        gaps: why anything is None.
    """

    findings: list[Finding] | None
    looked: list[str]
    skipped: list[str]
    importance: Importance | None
    gaps: list[str]

    def to_json(self) -> dict[str, Any]:
        """In plain values."""
        return asdict(self)


@final
@dataclass(frozen=True, kw_only=True)
class _Kept:
    key: str
    insight: Insight


def read_insight(folder: Path) -> Insight | None:
    """What is kept of the model that lies there now; None where nothing is, or something else."""
    try:
        kept = TypeAdapter(_Kept).validate_json((folder / FILE).read_bytes())
        return kept.insight if kept.key == _key(RunFolder(folder)) else None
    except (OSError, ValidationError):
        return None


def find_insight(folder: Path, on_step: Callable[[str], None]) -> Insight:
    """Diagnose a run and ask for the importance of its features, and keep both where nothing is left out.

    Args:
        folder: of the run.
        on_step: called with what is being done, in words.
    """
    from trunkline.insight.diagnosis.diagnose import diagnose
    from trunkline.insight.importance.permutation_importance import importance

    diagnosis, asked, gaps = None, None, list[str]()
    try:
        on_step("looking for what is wrong")
        diagnosis = diagnose(folder)
    except UserError as error:
        gaps += error.problems
    try:
        on_step("importance of features")
        asked = importance(
            folder, on_feature=lambda name, i, of: on_step(f"importance of features: {i} of {of}, {name}")
        )
    except UserError as error:
        gaps += [problem for problem in error.problems if problem not in gaps]
    insight = Insight(
        findings=None if diagnosis is None else list(diagnosis.findings),
        looked=[] if diagnosis is None else list(diagnosis.looked),
        skipped=[] if diagnosis is None else list(diagnosis.skipped),
        importance=asked,
        gaps=gaps,
    )
    if not insight.gaps and not insight.skipped:
        # A folder that cannot be written is drawn all the same.
        with suppress(OSError):
            write_json(folder / FILE, asdict(_Kept(key=_key(RunFolder(folder)), insight=insight)))
    return insight


def _key(run: RunFolder) -> str:
    """Stands for the model, for how it came about, and for what this version looks at."""
    digest = hashlib.blake2b(json.dumps([detector.looks for detector in DETECTORS]).encode(), digest_size=16)
    for file in (run.model, run.history):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "blake2b").digest())
    return digest.hexdigest()
