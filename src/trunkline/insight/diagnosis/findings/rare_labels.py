"""Rare labels: too few positives among the validation rows to judge by."""

import math

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Judged, Observations
from trunkline.insight.diagnosis.measures.interval import auc_interval
from trunkline.tasks import TASK_KINDS

KIND = "rare_labels"
MOST_SHARE = 0.3
"""Of all rows, for validation: the rest has to be learnt from."""
SEVERITY = 0.5
"""Epochs are selected, and methods compared, by luck."""
HALF_WIDTH = 0.1
"""Of the AUC's 95 % interval. Wider, it cannot tell a usual model (0.7) from a good one (0.8)."""


def rare_labels(observations: Observations) -> list[Finding]:
    """Binary tasks whose AUC over the validation rows is known to no better than ± `HALF_WIDTH`."""
    found = []
    for name, judged in (observations.judged or {}).items():
        rows = judged.positives + judged.negatives
        half, low, high = _half(judged)
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
                    remedy=_remedy(observations, name, half),
                )
            )
    return found


def _remedy(observations: Observations, task: str, half: float) -> str:
    """A larger share of the rows where one is enough; else an epoch that other tasks choose.

    The width goes with one over the root of the rows. Rows that are not there are no remedy.
    """
    split, tasks = observations.config.data.split, observations.config.tasks
    if split is None:
        return f"data.split: {{by: random, valid: {MOST_SHARE}}}  # of all rows, instead of data.valid"
    needed = math.ceil(100 * split.valid * (half / HALF_WIDTH) ** 2) / 100
    if split.valid < needed <= MOST_SHARE:
        return f"data.split.valid: {needed:g}"
    others = [name for name in tasks if name != task and name not in _unsure(observations)]
    if others:
        headline = TASK_KINDS[tasks[others[0]].kind].headline
        return f"training.select: {others[0]}.{headline}  # no share of these rows tells {task} well enough"
    return "training.patience: null  # no share of these rows chooses an epoch; judge it over several data.split.seed"


def _unsure(observations: Observations) -> list[str]:
    return [name for name, one in (observations.judged or {}).items() if _half(one)[0] > HALF_WIDTH]


def _half(judged: Judged) -> tuple[float, float, float]:
    """Half the width of the AUC's interval, and its ends."""
    low, high = 0.0, 1.0
    if judged.auc is not None:
        low, high = auc_interval(judged.auc, judged.positives, judged.negatives)
    return (high - low) / 2, low, high
