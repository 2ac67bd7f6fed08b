"""Zeros under squares: a label that is mostly 0 with a long tail, learnt by squared errors."""

from trunkline.insight.diagnosis.findings.finding import Change, Finding
from trunkline.insight.diagnosis.findings.observations import Observations

KIND = "zeros_under_squares"
SEVERITY = 0.5
"""A few rows make up the loss; what sets the others apart is drowned."""
ZEROS = 0.6
"""Share of the labels."""
TAIL = 4.0
"""The largest label in standard deviations; of few distinct values it is less."""


def zeros_under_squares(observations: Observations) -> list[Finding]:
    """Tasks of kind regression whose labels are mostly 0, never below it, and reach far."""
    found = []
    for name, quality in (observations.quality or {}).items():
        label = quality.label
        if quality.kind != "regression" or label.negative or label.zeros < ZEROS or label.spread < TAIL:
            continue
        kind = "negative_binomial" if label.whole else "zero_inflated_lognormal"
        change = Change(f"tasks.{name}.kind", kind)
        found.append(
            Finding(
                kind=KIND,
                weight=SEVERITY * label.zeros,
                subject=name,
                sentence=f"{name} is 0 in {100 * label.zeros:.0f} % of {label.rows:,} training rows and reaches to "
                f"{label.spread:.0f} standard deviations, under a squared loss",
                evidence={"zeros": label.zeros, "spread": label.spread},
                remedy=str(change),
                changes=(change,),
            )
        )
    return found
