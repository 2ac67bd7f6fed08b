"""Slow towers: a task still learns when others have begun to overfit; its tower's learning rate is too low."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.diagnosis.rates import rate_line

KIND = "slow_tower"
SEVERITY = 0.5
"""Whichever epoch is selected, one of the tasks is not at its best."""
FEWEST = 5
"""Moments with a score, below which there is no telling rise from fall."""
LATE = 1 / 3
"""The end of the training that is looked at."""
RISE = 0.2
"""Share of a task's whole gain that falls into it, if it still learns: a third would be a straight line."""
FALL = 0.2
"""Share of its gain that a task has lost since its best moment, if it overfits."""
RAISE = 3.0
"""By how much to raise the rate."""


def slow_towers(observations: Observations) -> list[Finding]:
    """Tasks that gain to the last while another has lost a part of what it had gained."""
    curves = {name: list(curve) for name, curve in (observations.curves or {}).items() if len(curve) >= FEWEST}
    overfit, rising = {}, {}
    for name, curve in curves.items():
        late = len(curve) - max(1, round(LATE * len(curve)))
        gain = max(curve) - curve[0]
        if gain <= 0:
            continue
        fall, rise = (max(curve) - curve[-1]) / gain, (curve[-1] - max(curve[:late])) / gain
        if fall >= FALL and curve.index(max(curve)) < late:
            overfit[name] = fall
        elif curve[-1] == max(curve) and rise >= RISE:
            rising[name] = rise
    found = []
    for name, rise in rising.items() if overfit else ():
        subnet = f"tower.{name}"
        others = ", ".join(overfit)
        found.append(
            Finding(
                kind=KIND,
                weight=SEVERITY * min(1.0, rise + max(overfit.values())) / 2,
                subject=subnet,
                sentence=f"{name} made {100 * rise:.0f} % of its gain on the validation rows in the last third of the "
                f"training and still improves, while {others} is past its best by "
                f"{100 * max(overfit.values()):.0f} % of its own",
                evidence={"late_gain": rise, "lost": overfit, "curve": curves[name], "lr": observations.rate(subnet)},
                remedy=rate_line(subnet, RAISE * observations.rate(subnet)),
            )
        )
    return found
