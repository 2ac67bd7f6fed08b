"""Unique ids: columns that can only be learnt by heart."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations

KIND = "unique_ids"
SEVERITY = 0.6
"""Every row's vector learns that row's labels, and no later row has it."""
SHARE = 0.9
"""Of the training rows: of users and items that stand there once there are always some."""


def unique_ids(observations: Observations) -> list[Finding]:
    """Categorical columns that in `SHARE` of the training rows have a value which no other row has."""
    return [
        Finding(
            kind=KIND,
            weight=SEVERITY * share,
            subject=column,
            sentence=f"{column} has a value of its own in {100 * share:.0f} % of the training rows that have one: its "
            "vectors learn rows by heart",
            evidence={"share": share},
            remedy=observations.without(column),
        )
        for column, share in (observations.singles or {}).items()
        if share >= SHARE
    ]
