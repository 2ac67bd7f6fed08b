"""How the contestants of `census.py` and `wide.py` are measured: in turns, in one process, in rows a CPU second."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

import torch
from goals import Figure, at_least
from rivals import Absent, Contestant
from torch.nn import functional as F


class Limit(NamedTuple):
    """How much faster than a rival a contestant has to be."""

    ours: str
    rival: str
    least: float


@dataclass
class Figures:
    """What was found.

    Attributes:
        rates: rows a CPU second of each contestant, one for each round.
        parameters: of each contestant.
        loss: of each contestant on training rows after all rounds, the tasks' mean.
        absent: why a contestant is none.
    """

    rates: dict[str, list[float]] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def ratio(self, ours: str, rival: str, of: Callable[[Sequence[float]], float] = median) -> float:
        return of(self.rates[ours]) / of(self.rates[rival])


def take_turns(makers: Mapping[str, Callable[[], Contestant]], rounds: int) -> Figures:
    """An epoch each in every round, forwards and backwards in turn; the round before the first one warms up.

    CPU time is the whole process's, so that no thread of a contestant works for nothing.
    """
    found, contestants = Figures(), {}
    for name, make in makers.items():
        torch.manual_seed(0)
        try:
            contestants[name] = make()
        except Absent as why:
            found.absent[name] = " ".join(str(why).splitlines())
    for number in range(rounds + 1):
        for name in list(contestants) if number % 2 else reversed(contestants):
            gc.collect()
            began = time.process_time()
            contestants[name].train()
            took = time.process_time() - began
            if number:
                found.rates.setdefault(name, []).append(len(contestants[name].rows) / took)
    for name, contestant in contestants.items():
        found.parameters[name], some = contestant.parameters, contestant.rows.first(8192)
        with torch.no_grad():
            estimates = contestant.estimate(some).float()
        found.loss[name] = float(F.binary_cross_entropy(estimates, some.labels))
    return found


def show(title: str, found: Figures, rivals: Sequence[str]) -> None:
    """The table: thousand rows a CPU second, and how often each rival goes into it (of medians, and of bests)."""
    rivals = [rival for rival in rivals if rival in found.rates]
    print(f"\n{title}")
    print(f"{'thousand rows a CPU second':36}{'median':>8}{'best':>8}{'parameters':>12}{'log loss':>9}", end="")
    print("".join(f"  {'x ' + rival:>22}" for rival in rivals))
    for name, rates in found.rates.items():
        print(f"{name:36}{median(rates) / 1e3:8.1f}{max(rates) / 1e3:8.1f}", end="")
        print(f"{found.parameters[name]:12,}{found.loss[name]:9.4f}", end="")
        ratios = [(found.ratio(name, rival), found.ratio(name, rival, max)) for rival in rivals]
        print("".join(f"  {of_median:13.2f} ({of_best:5.2f}) " for of_median, of_best in ratios))
    for name, why in found.absent.items():
        print(f"{name:36}left out: {why}")


def check(found: Figures, limits: Sequence[Limit], where: str = "") -> list[Figure]:
    """Each ratio of medians whose two sides were there, beside its goal."""
    return [
        at_least(f"{where}{ours} / {rival}", found.ratio(ours, rival), least)
        for ours, rival, least in limits
        if ours in found.rates and rival in found.rates
    ]


def report(found: Figures) -> dict[str, Any]:
    """For the JSON line: thousand rows a CPU second."""
    return {
        name: {"median": round(median(rates) / 1e3, 2), "best": round(max(rates) / 1e3, 2)}
        for name, rates in found.rates.items()
    }
