"""Unused experts: no gate lets them through."""

from trunkline.inference.gating import UNUSED, unused_experts
from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.diagnosis.rates import rate_line

KIND = "unused_experts"
SEVERITY = 0.4
"""They cost time and memory, and the tasks share less than was meant; what is used still learns."""
SURE = 0.2
"""Entropy of a gate, over that of equal shares, below which it has made up its mind."""
LOWER = 30.0


def experts_unused(observations: Observations) -> list[Finding]:
    """Experts to which no gate gives `UNUSED` of what it lets through, over the validation rows."""
    gates = observations.gates or {}
    unused = unused_experts(dict(gates))
    if not unused:
        return []
    every = {expert for gate in gates.values() for expert in gate["use"]}
    sure = [name for name, gate in gates.items() if gate["entropy"] < SURE]
    sentence = f"{len(unused)} of {len(every)} experts get less than {100 * UNUSED:g} % from every gate: "
    sentence += ", ".join(unused)
    if sure:
        sentence += f"; {', '.join(sure)} give nearly all to one expert a row"
    return [
        Finding(
            kind=KIND,
            weight=SEVERITY * max(len(unused) / len(every), 0.25),
            subject=", ".join(unused),
            sentence=sentence,
            evidence={"unused": unused, "experts": len(every), "entropy": {n: g["entropy"] for n, g in gates.items()}},
            remedy=_remedy(observations, sure, len(every) - len(unused)),
        )
    ]


def _remedy(observations: Observations, sure: list[str], used: int) -> str:
    rated = [name for name in sure if observations.rate(name) > observations.config.optimizer.lr]
    if rated:
        return rate_line("gate.*", observations.rate(rated[0]) / LOWER)
    option = "experts" if "experts" in observations.config.network.sharing.options else "shared"
    return f"network.sharing.{option}: {max(used, 1)}"
