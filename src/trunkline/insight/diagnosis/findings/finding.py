"""A finding: what is wrong, its evidence, and the line of the config that would change it."""

from dataclasses import dataclass
from typing import Any, final


@final
@dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding of a detector.

    Attributes:
        kind: the detector's name.
        weight: in (0, 1], how much it matters: what the kind can spoil at worst, times how much of it there is.
        subject: the task, pair, subnet, layer or column.
        sentence: what was found, with its figures.
        evidence: the figures, in JSON values.
        remedy: the line of the config that would change it.
    """

    kind: str
    weight: float
    subject: str
    sentence: str
    evidence: dict[str, Any]
    remedy: str
