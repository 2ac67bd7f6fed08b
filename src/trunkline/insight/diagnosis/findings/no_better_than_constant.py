"""No better than a constant: estimates that tell nothing of the rows they are made for."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.diagnosis.remedies import learning_changes
from trunkline.insight.quality.task_quality import TaskQuality
from trunkline.insight.statistics.intervals import Interval

KIND = "no_better_than_constant"
SEVERITY = 1.0
"""Such a task need not be asked."""
UNCLEAR = 0.7
"""Of that, where it may well be better and the rows are too few to tell."""
BAD_SCALE = 0.6
"""Its order of the rows is right; its numbers are worse than the mean's."""


def no_better_than_constant(observations: Observations) -> list[Finding]:
    """Tasks whose headline score, or share of the variance explained, may be that of one estimate for every row."""
    found = []
    for name, quality in (observations.quality or {}).items():
        if quality.few:
            continue  # `small_validation` says so
        useless = quality.score is not None and _reaches(quality.score, quality.constant)
        off = quality.r2 is not None and _reaches(quality.r2, 0.0)
        if not (useless or off):
            continue
        changes = learning_changes(observations.config, quality)
        told, constant = (quality.score, quality.constant) if useless else (quality.r2, 0.0)
        assert told is not None
        unclear = UNCLEAR if told.value > constant else 1.0
        found.append(
            Finding(
                kind=KIND,
                weight=(SEVERITY if useless else BAD_SCALE) * unclear,
                subject=name,
                sentence=_sentence(quality, useless=useless),
                evidence={
                    "metric": quality.headline,
                    "score": None if quality.score is None else quality.score.value,
                    "r2": None if quality.r2 is None else quality.r2.value,
                    "rows": quality.rows,
                },
                remedy=str(changes[0]) if changes else f"by hand: leave {name} out, or bring features that tell of it",
                changes=tuple(changes),
            )
        )
    return found


def _reaches(score: Interval, constant: float) -> bool:
    return (score.value if score.low is None else score.low) <= constant


def _sentence(quality: TaskQuality, *, useless: bool) -> str:
    told = quality.score if useless else quality.r2
    assert told is not None
    metric, constant = (quality.metric, quality.constant) if useless else ("r2", 0.0)
    between = "" if told.low is None or told.high is None else f" (95 %: {told.low:.3f} … {told.high:.3f})"
    text = (
        f"{quality.task} {'cannot be told from' if told.value > constant else 'is no better than'} one estimate for "
        f"every row: {metric} {told.value:.3f}{between} on "
        f"{quality.rows:,} validation rows, where that has {constant:g}"
    )
    if not useless and quality.score is not None and quality.headline != "r2":
        text += f"; its order of the rows is worth something ({quality.metric} {quality.score.value:.3f})"
    return text
