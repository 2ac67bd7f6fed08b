"""Overfitting: a task learns its training rows by heart from some epoch on."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.diagnosis.measures.past_best import PastBest, past_best
from trunkline.insight.diagnosis.remedies import against_overfitting
from trunkline.insight.quality.task_quality import TaskQuality

KIND = "overfitting"
KEPT, MISSED = 0.3, 0.6
"""Severity where the kept epoch is the task's best one, and where it is a later one."""


def overfitting(observations: Observations) -> list[Finding]:
    """Tasks that lose on the validation rows after their best epoch what they had gained, while they go on learning."""
    found = []
    for name, quality in (observations.quality or {}).items():
        fall = past_best(quality)
        if fall is None:
            continue
        late = quality.selected is not None and quality.selected + 1 > fall.epoch
        changes = against_overfitting(observations.config)
        found.append(
            Finding(
                kind=KIND,
                weight=(MISSED if late else KEPT) * min(1.0, 0.5 + fall.share / 2),
                subject=name,
                sentence=_sentence(quality, fall),
                evidence={"metric": quality.measure, "epochs": list(quality.epochs), "lost": fall.share},
                remedy=str(changes[0]) if changes else "optimizer.weight_decay: 0.01",
                changes=tuple(changes),
            )
        )
    return found


def _sentence(quality: TaskQuality, fall: PastBest) -> str:
    text = (
        f"{quality.task} overfits from epoch {fall.epoch + 1} on: its {quality.measure.replace('_', ' ')} on the "
        f"validation rows went from {fall.best:.4f} to {fall.last:.4f}, which is {100 * fall.share:.0f} % of what it "
        "had gained over a constant"
    )
    if fall.trained is not None:
        text += f", while its training loss fell from {fall.trained[0]:.4f} to {fall.trained[1]:.4f}"
    kept = quality.selected
    if kept is not None:
        text += f"; epoch {kept + 1} was kept"
    return text
