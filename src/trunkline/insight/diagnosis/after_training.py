"""Findings at the end of a training: is each of its tasks any good?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from trunkline.inference.model import Model
from trunkline.insight.diagnosis.findings import DETECTORS, QUALITY, Finding, Observations
from trunkline.insight.diagnosis.record import write_record
from trunkline.insight.diagnosis.trials import try_changes
from trunkline.insight.quality.assess import assess
from trunkline.insight.quality.task_quality import TaskQuality
from trunkline.preparation.data import Data


@final
@dataclass(frozen=True)
class Verdict:
    """What is known of a run's quality.

    Attributes:
        tasks: quality by task; empty without validation rows.
        findings: the weightiest first.
    """

    tasks: dict[str, TaskQuality]
    findings: tuple[Finding, ...]


def judge(
    model: Model,
    data: Data,
    *,
    seconds: float = 0.0,
    frames: Mapping[str, Any] | None = None,
    on_trial: Callable[[str], None] = lambda change: None,
) -> Verdict:
    """Measure every task beside a constant and a linear model, and keep that in the run's folder.

    Args:
        model: of a training that has just ended.
        data: its encoded rows.
        seconds: for trying what the findings advise; 0 tries no training.
        frames: its rows by part, where they came from memory.
        on_trial: called with a change that is about to be tried.
    """
    quality = assess(model, data.stores)
    found = quality_findings(Observations(config=model.config, tasks=tuple(quality), quality=quality))
    write_record(model.path, quality, [])
    found = try_changes(found, model, data.stores, seconds=seconds, frames=frames, on_trial=on_trial)
    write_record(model.path, quality, found)
    return Verdict(quality, tuple(found))


def quality_findings(observations: Observations) -> list[Finding]:
    """The findings that rest on the quality of tasks alone, the weightiest first."""
    found = [f for detector in DETECTORS if detector.needs == QUALITY for f in detector.find(observations)]
    return sorted(found, key=lambda finding: -finding.weight)
