"""Unseen ids: later rows hold ids that training did not have."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations, dotted

KIND = "unseen_ids"
SEVERITY = 0.5
"""Such rows are estimated without the column; the others are not concerned."""
SHARE = 0.2
"""Of a part's ids. A few new users and items come every day; a fifth is a column that does not carry over."""


def unseen_ids(observations: Observations) -> list[Finding]:
    """Columns of ids of which more than `SHARE` in the validation or test rows have no row of their own."""
    found = []
    for column, shares in (observations.unseen or {}).items():
        held_out = {part: share for part, share in shares.items() if part != "train"}
        worst = max(held_out, key=lambda part: held_out[part], default=None)
        if worst is None or held_out[worst] <= SHARE:
            continue
        found.append(
            Finding(
                kind=KIND,
                weight=SEVERITY * held_out[worst],
                subject=column,
                sentence=f"{100 * held_out[worst]:.0f} % of the ids of {column} in the {worst} rows are unseen in "
                f"training ({100 * shares.get('train', 0.0):.0f} % of the training rows' are too rare to count)",
                evidence={"shares": dict(shares)},
                remedy=_remedy(observations, column, trained=shares.get("train", 0.0) > 0),
            )
        )
    return found


def _remedy(observations: Observations, column: str, *, trained: bool) -> str:
    # With rare ids counted as unseen, the row of unseen ids learns what it stands for.
    return observations.without(column) if trained else f"features.{dotted(column)}.min_count: 2"
