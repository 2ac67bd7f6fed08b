"""Losses that were not a number."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.diagnosis.rates import rate_line

KIND = "broken_loss"
SEVERITY = 1.0
"""The training ends there."""
LOWER = 30.0


def broken_loss(observations: Observations) -> list[Finding]:
    """The tasks whose loss first was no number."""
    if observations.broken is None:
        return []
    tasks, step = observations.broken
    subnet = f"tower.{tasks[0]}"
    rate = observations.rate(subnet)
    return [
        Finding(
            kind=KIND,
            weight=SEVERITY,
            subject=", ".join(tasks),
            sentence=f"the loss of {' and '.join(tasks)} was not a number at step {step}",
            evidence={"tasks": list(tasks), "step": step, "lr": rate},
            remedy=rate_line(subnet, rate / LOWER) if len(tasks) == 1 else f"optimizer.lr: {rate / LOWER:.1g}",
        )
    ]
