"""Miscalibrated: estimates that are too high or too low beyond what chance explains."""

from trunkline.insight.diagnosis.findings.finding import Change, Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.quality.task_quality import Calibration, TaskQuality

KIND = "miscalibrated"
SEVERITY = 0.5
"""The order of the rows is not concerned; sums, thresholds and products of estimates are."""
FEWEST = 10
"""Rows of either label that a binary task needs."""
BEYOND = 3.0
"""Standard errors."""
OFF = 0.05
"""Of the mean label: what is closer is no harm."""


def miscalibrated(observations: Observations) -> list[Finding]:
    """Tasks whose estimates are off in sum by `OFF`, or off by groups by more than chance and `OFF` of the mean label.

    Tasks that are calibrated on the validation rows already are left out: those rows say nothing of it any more. So are
    tasks with row weights, whose estimates are those of another population.
    """
    found = []
    for name, quality in (observations.quality or {}).items():
        calibration, task = quality.calibration, observations.config.tasks[name]
        if calibration is None or task.calibrate != "none":
            continue
        if quality.base is not None and quality.rows * min(quality.base, 1 - quality.base) < FEWEST:
            continue
        in_sum = abs(calibration.ratio - 1) > max(OFF, BEYOND * calibration.error)
        base = quality.base
        by_group = (
            calibration.ece is not None
            and calibration.chance is not None
            and base is not None
            and calibration.ece - calibration.chance > OFF * min(base, 1 - base)
        )
        if not (in_sum or by_group):
            continue
        kinds = ("platt", "isotonic") if in_sum else ("temperature", "platt", "isotonic")
        changes = [Change(f"tasks.{name}.calibrate", kind) for kind in kinds] if quality.kind == "binary" else []
        off = max(abs(calibration.ratio - 1), (calibration.ece or 0.0) / base if by_group and base else 0.0)
        found.append(
            Finding(
                kind=KIND,
                weight=SEVERITY * min(1.0, 0.2 + off),
                subject=name,
                sentence=_sentence(quality, calibration, by_group=by_group),
                evidence={
                    "ratio": calibration.ratio,
                    "error": calibration.error,
                    "ece": calibration.ece,
                    "ece_by_chance": calibration.chance,
                },
                remedy=str(changes[0])
                if changes
                else f"by hand: multiply the estimates of {name} by {1 / calibration.ratio:.3f}",
                changes=tuple(changes),
            )
        )
    return found


def _sentence(quality: TaskQuality, calibration: Calibration, *, by_group: bool) -> str:
    text = (
        f"{quality.task}'s estimates sum to {calibration.ratio:.3f} of its labels on {quality.rows:,} validation rows "
        f"(± {1.96 * calibration.error:.3f} by chance)"
    )
    if by_group:
        text += f"; their calibration error is {calibration.ece:.4f}, {calibration.chance:.4f} at most by chance"
    return text
