"""Results of the range tests of all subnets."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import final

import yaml

from trunkline.config import Config
from trunkline.insight.lr_range.curve import Reading

BACK = 0.5
"""Share of ids that come back, below which the curve of a table of ids says little."""


@final
@dataclass(frozen=True)
class Sweep:
    """One subnet's.

    Attributes:
        subnet: its name.
        configured: the rate that the config gives it.
        serves: the tasks whose losses it was judged by.
        rates: `[N]`, rising.
        losses: `[N]` smoothed, over the loss at the start, the mean over the tasks; None from where it was no number.
        control: `[N]` likewise with this subnet too at its configured rate.
        reading: what they say.
        held: whether each rate was held for a training of its own; losses are then those of its last third.
    """

    subnet: str
    configured: float
    serves: tuple[str, ...]
    rates: tuple[float, ...]
    losses: tuple[float | None, ...]
    control: tuple[float, ...]
    reading: Reading
    held: bool = False

    @property
    def suggestion(self) -> float:
        """The rate to take, to one digit: no test is more exact."""
        return float(f"{self.reading.suggestion:.1g}")

    @property
    def told(self) -> str:
        """The reading in words."""
        r = self.reading
        high = "" if r.too_high is None else f"; does harm from {r.too_high:.1g}"
        if r.flat is not None:
            return f"flat: the rate does not matter between {r.flat[0]:.1g} and {r.flat[1]:.1g}{high}"
        return f"does as well as any from {r.lowest:.1g}{high}" if r.lowest is not None else f"no rate works{high}"


@final
@dataclass(frozen=True)
class Ranges:
    """The sweeps of all subnets.

    Attributes:
        sweeps: by subnet.
        skipped: subnets that were not swept, with the reason.
        config: what was trained.
        passes: how often a sweep went through the training rows.
        back: of the ids by which held rates are judged, the share that came back and so can show what a rate did.
    """

    sweeps: Mapping[str, Sweep]
    skipped: Mapping[str, str]
    config: Config
    passes: float
    back: float = 1.0

    @property
    def note(self) -> str | None:
        """What makes the suggestions doubtful, if anything does."""
        told = []
        if self.passes > 1:
            told.append(
                f"a sweep goes through the training rows {self.passes:.1f} times: its losses are of rows that were "
                "learnt, and a rate that overfits looks good; take fewer steps, or smaller batches"
            )
        if self.back < BACK:
            told.append(
                f"of the ids that embedding is judged by, {100 * self.back:.0f} % had been in an earlier batch, and "
                "only those show what a rate does; take more steps, or larger batches"
            )
        return "\n".join(told) or None

    def to_yaml(self) -> str:
        """The `optimizer.subnets` block with the suggested rates; what else the config says there stays."""
        own = {name: section.model_dump(mode="json") for name, section in self.config.optimizer.subnets.items()}
        subnets = own | {name: own.get(name, {}) | {"lr": sweep.suggestion} for name, sweep in self.sweeps.items()}
        return yaml.safe_dump({"optimizer": {"subnets": subnets}}, sort_keys=False)

    def to_json(self) -> str:
        """Curves and readings, as indented JSON."""
        sweeps = {name: asdict(sweep) | {"suggestion": sweep.suggestion} for name, sweep in self.sweeps.items()}
        return json.dumps(
            {"subnets": sweeps, "skipped": dict(self.skipped), "note": self.note}, indent=2, allow_nan=False
        )
