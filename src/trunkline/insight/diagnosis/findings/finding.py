"""A finding: what is wrong, its evidence, and the line of the config that would change it."""

from dataclasses import dataclass
from typing import Any, final


@final
@dataclass(frozen=True)
class Change:
    """A change of the config.

    Attributes:
        path: dotted, as `--set` takes it.
        value: in YAML's values.
    """

    path: str
    value: Any

    def __str__(self) -> str:
        return f"{self.path}: {self.value}"


@final
@dataclass(frozen=True, kw_only=True)
class Tried:
    """A change that was tried, and what it did on the validation rows.

    Attributes:
        change: the line of the config.
        helps: whether the finding's task gains by more than chance, no other task loses by as much, and no
            probabilities get worse.
        sentence: what it did, with its figures; why it cannot be told, otherwise.
        known: whether it can be told what it did.
    """

    change: str
    helps: bool
    sentence: str
    known: bool = True


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
        changes: changes that may help and can be tried, the likeliest first.
        tried: those that were.
    """

    kind: str
    weight: float
    subject: str
    sentence: str
    evidence: dict[str, Any]
    remedy: str
    changes: tuple[Change, ...] = ()
    tried: tuple[Tried, ...] = ()
