"""Leaks: columns that give a label away."""

from statistics import median

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations

KIND = "leak"
SEVERITY = 1.0
"""Every score is too good, and the column will be empty when estimates are made."""
PERFECT = 0.98
"""AUC, or R² on ranks, of a model of one column: what behaviour is predicted by one column alone?"""
OTHERS = 0.9
"""What the median of the other columns has to stay below: where every column is near perfect, the task is easy."""


def leaks(observations: Observations) -> list[Finding]:
    """Columns that alone predict a task almost perfectly on held-out rows, while the others do not."""
    found = []
    alone = observations.alone or {}
    for task in observations.tasks:
        scores = {column: of_column[task] for column, of_column in alone.items() if task in of_column}
        suspects = [column for column, score in scores.items() if score >= PERFECT]
        rest = [score for column, score in scores.items() if column not in suspects]
        if rest and median(rest) >= OTHERS:
            continue
        for column in suspects:
            next_best = max(rest, default=None)
            beside = "" if next_best is None else f"; the next best column has {next_best:.3f}"
            found.append(
                Finding(
                    kind=KIND,
                    weight=SEVERITY * scores[column],
                    subject=column,
                    sentence=f"{column} alone predicts {task} with a score of {scores[column]:.3f} on held-out rows"
                    f"{beside}: it is known only after the fact",
                    evidence={"task": task, "score": scores[column], "next_best": next_best},
                    remedy=_remedy(observations, column),
                )
            )
    return found


def _remedy(observations: Observations, column: str) -> str:
    name = column.partition(" (")[0].partition("[")[0] if column not in observations.config.features else column
    return observations.without(name)
