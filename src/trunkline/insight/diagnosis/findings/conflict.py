"""Conflicting gradients: two tasks pull at what they share in opposite directions."""

from itertools import combinations

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations

KIND = "conflict"
SEVERITY = 0.6
"""Both tasks lose a part of every step; they still learn."""
MOST = 0.75
"""Share of the steps in which the cosine is below 0: by chance alone it is a half."""
COSINE = -0.15
"""Of the median step. Nearer to 0 next to nothing of either gradient is lost; unrelated tasks come to -0.1."""
FEWEST = 10
"""Steps in which both had a gradient, below which three quarters are luck."""


def conflicts(observations: Observations) -> list[Finding]:
    """Pairs of tasks whose gradients point apart most of the time, in any of the subnets that they share."""
    found = []
    for (a, one), (b, other) in combinations(enumerate(observations.tasks), 2):
        evidence = {}
        for subnet, pull in (observations.pulls or {}).items():
            cosine = pull[:, a, b] / (pull[:, a, a] * pull[:, b, b]).sqrt()
            cosine = cosine[cosine.isfinite()]
            if len(cosine) >= FEWEST:
                negative, median = float((cosine < 0).double().mean()), float(cosine.median())
                if negative >= MOST and median <= COSINE:
                    evidence[subnet] = {"negative": negative, "cosine": median, "steps": len(cosine)}
        if evidence:
            worst = min(evidence, key=lambda subnet: evidence[subnet]["cosine"])
            figures = evidence[worst]
            found.append(
                Finding(
                    kind=KIND,
                    weight=SEVERITY * figures["negative"] * -figures["cosine"],
                    subject=f"{one}, {other}",
                    sentence=f"the gradients of {one} and {other} point apart in {100 * figures['negative']:.0f} % of "
                    f"{figures['steps']} steps in {worst} (median cosine {figures['cosine']:.2f})"
                    + (f", and in {', '.join(s for s in evidence if s != worst)}" if len(evidence) > 1 else ""),
                    evidence=evidence,
                    remedy=_remedy(observations, worst),
                )
            )
    return found


def _remedy(observations: Observations, subnet: str) -> str:
    config = observations.config
    if config.balance.gradients is None:
        return "balance.gradients: upgrad" if subnet == "shared" else "balance: {gradients: upgrad, at: parameters}"
    if config.network.sharing.kind == "shared_bottom":
        return "network.sharing.kind: cgc"
    return "network.sharing.kind: single"
