"""Worse than a linear model: what the network adds is less than what it spoils."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.diagnosis.remedies import learning_changes

KIND = "worse_than_linear"
SEVERITY = 0.8
"""There is a better model, and it is a simple one."""
LEAST = 0.003
"""Of an AUC or a share of variance: what is closer does no harm."""
FAR = 0.05
"""Of an AUC or a share of variance: behind by so much, a model is of another class."""


def worse_than_linear(observations: Observations) -> list[Finding]:
    """Tasks that a linear model of the same columns estimates better, by an interval."""
    found = []
    for name, quality in (observations.quality or {}).items():
        ahead = quality.ahead
        if ahead is None or ahead.low is None or ahead.high is None or quality.score is None or quality.few:
            continue
        if ahead.high >= 0 or ahead.value > -LEAST:
            continue
        changes = learning_changes(observations.config, quality)
        found.append(
            Finding(
                kind=KIND,
                weight=SEVERITY * min(1.0, 0.5 - ahead.value / (2 * FAR)),
                subject=name,
                sentence=f"{name} is estimated better by a linear model of the same columns: {quality.metric} "
                f"{quality.score.value:.4f} against {quality.linear:.4f}, {ahead.value:.4f} apart (95 %: "
                f"{ahead.low:.4f} … {ahead.high:.4f}), on {quality.rows:,} validation rows",
                evidence={
                    "metric": quality.headline,
                    "score": quality.score.value,
                    "linear": quality.linear,
                    "ahead": [ahead.low, ahead.high],
                },
                remedy=str(changes[0]),
                changes=tuple(changes),
            )
        )
    return found
