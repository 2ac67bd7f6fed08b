"""Gate statistics of mixtures of experts, for the history."""

import math
from typing import Any

import torch

from trunkline.sharing.base import Gates

UNUSED = 0.01
"""An expert that no gate gives this share of what it lets through is reported as unused."""


def gate_facts(gates: Gates) -> dict[str, Any]:
    """Of each gate the entropy of its shares and the mean share of each expert, over the rows of a batch.

    The entropy is the rows' mean, over that of equal shares: 1 where all experts count alike, 0 where one has all.
    """
    facts: dict[str, Any] = {}
    for name, shares in gates.items():
        entropy = math.fsum(float(torch.special.entr(share.float()).mean()) for share in shares.values())
        most = math.log(len(shares)) if len(shares) > 1 else 1.0
        facts[name] = {
            "entropy": round(entropy / most, 4),
            "use": {expert: round(float(share.mean()), 4) for expert, share in shares.items()},
        }
    return facts


def unused_experts(facts: dict[str, Any]) -> list[str]:
    """The experts to which no gate gives `UNUSED`, from `gate_facts`."""
    most: dict[str, float] = {}
    for gate in facts.values():
        for expert, share in gate["use"].items():
            most[expert] = max(share, most.get(expert, 0.0))
    return [expert for expert, share in most.items() if share < UNUSED]
