"""Learned σ at its clamp."""

import math

from trunkline.balance.objectives.log_scale_clamp import LIMIT
from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.tasks import Regression

KIND = "clamped_sigma"
SEVERITY = 0.7
"""Beyond the bound the task's weight no longer follows its loss: it drowns, or drowns the others."""
NEAR = 0.01
"""Of log σ² to its bound, where rounding has its say."""


def clamped_noise(observations: Observations) -> list[Finding]:
    """Tasks whose |log σ²| is at `LIMIT`."""
    found = []
    for name, sigma in (observations.sigma or {}).items():
        log_variance = 2 * math.log(sigma)
        if abs(log_variance) >= LIMIT - NEAR:
            high = log_variance > 0
            found.append(
                Finding(
                    kind=KIND,
                    weight=SEVERITY,
                    subject=name,
                    sentence=f"the σ of {name} is at its {'upper' if high else 'lower'} bound ({sigma:.3g}): its loss "
                    f"is {'larger' if high else 'smaller'} than any weight from e^-{LIMIT:g} to e^{LIMIT:g} can mend",
                    evidence={"sigma": sigma, "log_variance": log_variance, "bound": LIMIT},
                    remedy=_remedy(observations, name, high),
                )
            )
    return found


def _remedy(observations: Observations, name: str, high: bool) -> str:
    task = observations.config.tasks[name]
    if task.kind == Regression.kind and task.options.get("standardize") is False:
        return f"tasks.{name}.standardize: true"
    if high:
        return f"tasks.{name}.kind: lognormal"
    return "balance.objective: dwa"
