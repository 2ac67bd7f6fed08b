"""The sheet of a column: what it is taken for, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final


@final
@dataclass(frozen=True)
class Choice:
    """One of several readings of a column.

    Attributes:
        what: the reading, in words.
        kind: of the feature; None to leave the column out.
        options: of the kind.
    """

    what: str
    kind: str | None
    options: Mapping[str, Any] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class ColumnSheet:
    """What a column is taken for.

    Attributes:
        name: the column's.
        dtype: its type in the table.
        kind: of the feature; None where the column is left out.
        options: of the kind.
        why: in a few words.
        missing: share of the rows looked at that have no value, or a word that is read as none.
        distinct: different values among them.
        example: one of them, as text.
        remarks: what a person should look at.
        choices: the readings between which the values do not decide; the first is the one that is taken.
    """

    name: str
    dtype: str
    kind: str | None
    options: dict[str, Any] = field(default_factory=dict)
    why: str
    missing: float = 0.0
    distinct: int = 0
    example: str = ""
    remarks: Sequence[str] = ()
    choices: Sequence[Choice] = ()

    @property
    def doubtful(self) -> bool:
        """Whether a person should decide."""
        return len(self.choices) > 1

    def to_json(self) -> dict[str, Any]:
        """In plain values."""
        return {
            "column": self.name,
            "type": self.dtype,
            "kind": self.kind,
            "options": self.options,
            "why": self.why,
            "missing": round(self.missing, 6),
            "distinct": self.distinct,
            "example": self.example,
            "remarks": list(self.remarks),
            "choices": [{"what": c.what, "kind": c.kind, "options": dict(c.options)} for c in self.choices],
        }
