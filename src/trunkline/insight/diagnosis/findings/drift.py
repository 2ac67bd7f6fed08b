"""Drift: columns whose values move between training and later rows."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations

KIND = "drift"
SEVERITY = 0.5
"""Estimates are made for rows unlike those that were learnt from."""
INDEX = 0.25
"""Population stability index from which on a shift is taken for a major one, by the convention of credit scoring."""
MOST = 5
"""Columns that are told, the worst."""


def drift(observations: Observations) -> list[Finding]:
    """The columns that have moved most, of those that have moved by more than `INDEX`."""
    worst = {column: max(parts, key=lambda part: parts[part]) for column, parts in (observations.shifts or {}).items()}
    indices = {column: (observations.shifts or {})[column][part] for column, part in worst.items()}
    moved = sorted((column for column in indices if indices[column] > INDEX), key=lambda column: -indices[column])
    return [
        Finding(
            kind=KIND,
            weight=SEVERITY * indices[column] / (1 + indices[column]),
            subject=column,
            sentence=f"{column} has other values in the {worst[column]} rows than in training: "
            f"population stability index {indices[column]:.2f}",
            evidence={"index": indices[column], "parts": dict((observations.shifts or {})[column])},
            remedy=observations.without(column),
        )
        for column in moved[:MOST]
    ]
