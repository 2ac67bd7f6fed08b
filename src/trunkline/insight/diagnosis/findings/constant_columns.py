"""Constant columns."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations

KIND = "constant_columns"
SEVERITY = 0.1
"""They cost a little; a later row that has another value is estimated by weights that nothing has trained."""
TOLD = 8
"""Columns that the sentence names."""


def constant_columns(observations: Observations) -> list[Finding]:
    """The columns with one value in all training rows that were looked at, in one finding."""
    names = list(observations.constants or ())
    if not names:
        return []
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    verb = "have" if len(names) > 1 else "has"
    return [
        Finding(
            kind=KIND,
            weight=SEVERITY,
            subject=", ".join(names),
            sentence=f"{', '.join(names[:TOLD])}{more} {verb} 1 value in all training rows",
            evidence={"columns": names},
            remedy=observations.without(*names),
        )
    ]
