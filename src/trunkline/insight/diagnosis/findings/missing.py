"""Missing values: in nearly all rows, or in other rows than those of training."""

from collections.abc import Mapping

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations

KIND = "missing"
SEVERITY = 0.5
"""Of a column that is there in training and not later: as bad as one that drifts."""
EMPTY_SEVERITY = 0.2
"""Of one that is hardly ever there: it can say little, and spoil nothing."""
EMPTY = 0.95
"""Share of the training rows."""
MOVED = 0.25
"""Difference between the shares of training and of later rows."""
MOST = 5
"""Columns that are told of either kind, the worst."""


def missing(observations: Observations) -> list[Finding]:
    """The columns that are worst off: missing in more than `EMPTY` of the training rows, or moved by `MOVED`."""
    empty, moved = list[Finding](), list[Finding]()
    for column, shares in (observations.missing or {}).items():
        train = shares["train"]
        later = {part: share for part, share in shares.items() if part != "train"}
        worst = max(later, key=lambda part: abs(later[part] - train), default=None)
        if worst is not None and abs(later[worst] - train) > MOVED:
            sentence = f"{column} is missing in {_percent(train)} of the training rows and in "
            sentence += f"{_percent(later[worst])} of the {worst} rows"
            moved.append(_finding(observations, column, SEVERITY * abs(later[worst] - train), sentence, shares))
        elif train > EMPTY:
            sentence = f"{column} is missing in {_percent(train)} of the training rows"
            empty.append(_finding(observations, column, EMPTY_SEVERITY * train, sentence, shares))
    return [found for kind in (moved, empty) for found in sorted(kind, key=lambda finding: -finding.weight)[:MOST]]


def _finding(
    observations: Observations, column: str, weight: float, sentence: str, shares: Mapping[str, float]
) -> Finding:
    return Finding(
        kind=KIND,
        weight=weight,
        subject=column,
        sentence=sentence,
        evidence={"shares": dict(shares)},
        remedy=observations.without(column),
    )


def _percent(share: float) -> str:
    """`0 %` and `100 %` are said where they are exact."""
    return f"{100 * share:.0f} %" if share in (0.0, 1.0) else f"{min(max(100 * share, 0.1), 99.9):.1f} %"
