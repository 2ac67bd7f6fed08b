"""Rare labels: too few positives among the validation rows to judge by."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.diagnosis.measures.interval import auc_interval

KIND = "rare_labels"
SEVERITY = 0.5
"""Epochs are selected, and methods compared, by luck."""
HALF_WIDTH = 0.1
"""Of the AUC's 95 % interval. Wider, it cannot tell a usual model (0.7) from a good one (0.8)."""


def rare_labels(observations: Observations) -> list[Finding]:
    """Binary tasks whose AUC over the validation rows is known to no better than ± `HALF_WIDTH`."""
    found = []
    for name, judged in (observations.judged or {}).items():
        rows = judged.positives + judged.negatives
        low, high = 0.0, 1.0
        if judged.auc is not None:
            low, high = auc_interval(judged.auc, judged.positives, judged.negatives)
        half = (high - low) / 2
        if half > HALF_WIDTH:
            auc = (
                "has no AUC"
                if judged.auc is None
                else f"has an AUC of {judged.auc:.3f}, somewhere in {low:.2f} … {high:.2f}"
            )
            found.append(
                Finding(
                    kind=KIND,
                    weight=SEVERITY * min(half / 0.5, 1.0),
                    subject=name,
                    sentence=f"{name} {auc}: {judged.positives} of its {rows:,} validation rows are positive",
                    evidence={
                        "auc": judged.auc,
                        "interval": [low, high],
                        "positives": judged.positives,
                        "negatives": judged.negatives,
                    },
                    remedy=_remedy(observations),
                )
            )
    return found


def _remedy(observations: Observations) -> str:
    split = observations.config.data.split
    share = 0.3 if split is None else min(3 * split.valid, 0.3)
    return "data.valid: more rows" if split is None else f"data.split.valid: {share:.2g}"
