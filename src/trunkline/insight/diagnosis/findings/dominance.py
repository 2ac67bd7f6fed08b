"""Dominance: one task's gradient drowns the others' in what they share."""

from itertools import pairwise

import torch

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.tasks import Regression

KIND = "dominance"
SEVERITY = 0.9
"""The drowned tasks learn next to nothing in the trunk, which is the point of sharing."""
RATIO = 10.0
"""A gradient a tenth as long as another turns the sum of the two by less than six degrees: it has no say."""

EARLY = 0.5
"""Share of the steps, the first, that count: a task that has learned all it can has no gradient left."""


def dominance(observations: Observations) -> list[Finding]:
    """Tasks whose gradient over all shared subnets together is `RATIO` times as long as the next one's.

    Norms are medians over the first half of the steps that were looked at. Tasks without any gradient have another
    fault.
    """
    pulls = observations.pulls
    if not pulls:
        return []
    squares = torch.stack([pull.diagonal(dim1=1, dim2=2) for pull in pulls.values()]).sum(0)
    early = squares[: max(round(EARLY * len(squares)), 1)]
    norms = dict(zip(observations.tasks, early.sqrt().median(0).values.tolist(), strict=True))
    ordered = sorted((name for name in norms if norms[name] > 0), key=lambda name: -norms[name])
    ratios = [norms[above] / norms[below] for above, below in pairwise(ordered)]
    if not ratios or max(ratios) < RATIO:
        return []
    gap = ratios.index(max(ratios)) + 1
    loud, drowned = ordered[:gap], ordered[gap:]
    share = sum(norms[name] for name in loud) / sum(norms.values())
    verb = "has" if len(loud) == 1 else "have"
    return [
        Finding(
            kind=KIND,
            weight=SEVERITY * share,
            subject=", ".join(loud),
            sentence=f"{' and '.join(loud)} {verb} {100 * share:.1f} % of the gradient in the subnets that tasks share "
            f"({', '.join(pulls)}): {max(ratios):,.0f} times the next, {drowned[0]}",
            evidence={"norms": norms, "ratio": max(ratios), "drowned": drowned},
            remedy=_remedy(observations, loud),
        )
    ]


def _remedy(observations: Observations, loud: list[str]) -> str:
    balance, tasks = observations.config.balance, observations.config.tasks
    for name in loud:
        task = tasks[name]
        if task.kind == Regression.kind and task.options.get("standardize") is False:
            return f"tasks.{name}.standardize: true"
    if balance.objective.kind in ("sum", "fixed"):
        return "balance.objective: uncertainty"
    return "balance.gradients: imtl_g" if balance.gradients is None else "balance.gradients: nash"
