"""Duplicate rows: validation or test rows that stand in the training rows already."""

import math

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.diagnosis.measures.repeats import SURE, Repeats

KIND = "repeated_rows"
SEVERITY = 0.9
"""What was learnt by heart is scored as if it were known; the epoch is selected by it."""
SHARE = 0.05
"""Of a part's rows, above what chance gives."""


def repeated_rows(observations: Observations) -> list[Finding]:
    """The part with the largest share of rows that chance has not put into training too, features and labels alike."""
    repeats = observations.repeats or {}
    shares = {part: share for part, one in repeats.items() if (share := _share(one)) > 0}
    if not shares:
        return []
    part = max(shares, key=lambda part: shares[part])
    one = repeats[part]
    twins = "a training row" if one.copied else "exactly one training row"
    why = "training rows repeat one another as copies do" if one.copied else f"by chance {_percent(one.expected)} would"
    return [
        Finding(
            kind=KIND,
            weight=SEVERITY * shares[part],
            subject=part,
            sentence=f"{_percent(one.share if one.copied else one.single)} of the {part} rows equal {twins} in all "
            f"features and labels; {why}",
            evidence={name: vars(of_part) for name, of_part in repeats.items()},
            remedy="data.train: each row once" if one.copied else f"data.{part}: without the rows of data.train",
        )
    ]


def _share(one: Repeats) -> float:
    """Of rows that were copied; 0 where it is below `SHARE`, or might be."""
    share, error = one.single - one.expected, one.error
    if one.copied:
        share, error = one.share, math.sqrt(one.share * (1 - one.share) / one.rows)
    return share if share - SURE * error > SHARE else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
