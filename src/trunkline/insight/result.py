"""What a comparison found."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, final

from trunkline.errors import UserError
from trunkline.insight.intervals import Interval


@final
@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """One task in one network.

    Attributes:
        mean: of its headline metric over the seeds on the test rows, with its 95 % interval.
        seeds: the metric by seed.
        valid: the mean on the validation rows, by which all choices are made.
        change: `mean` less that of the single-task networks, with an interval that holds together with all others of
            the comparison; None for those networks themselves.
        verdict: in words; empty for those networks themselves.
    """

    mean: Interval
    seeds: dict[str, float]
    valid: float | None
    change: Interval | None
    verdict: str


@final
@dataclass(frozen=True, kw_only=True)
class NetworkResult:
    """One network, or what stands in its place: one network or forest a task.

    Attributes:
        name: in this comparison and a later one; of the folder.
        label: for a table.
        kind: `alone`, `network` or `trees`.
        overrides: what it changes in the config, by dotted path; for the single-task networks by task.
        tasks: by name; those that no run is done of are missing.
        delta: mean over the tasks of the change relative to the single-task networks, higher is better (Maninis et al.
            2019, eq. 4); None where a task is missing.
        verdict: on `delta`, in words.
        cpu_seconds: of processor time in training, the mean over the seeds; summed over tasks that train alone.
        seconds: likewise by the clock.
        parameters: numbers learnt; None for trees.
        missing: why runs are missing, by run.
    """

    name: str
    label: str
    kind: Literal["alone", "network", "trees"]
    overrides: dict[str, Any]
    tasks: dict[str, TaskResult]
    delta: Interval | None
    verdict: str
    cpu_seconds: float | None
    seconds: float | None
    parameters: int | None
    missing: dict[str, str]


@final
@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a comparison found, as `comparison.json` holds it.

    Attributes:
        networks: the single-task networks first, then the config itself, its variants, and trees.
        metrics: by task, what it is judged by.
        rows: of each part, and by task the test rows with a label.
        seeds: of the runs.
        verdicts: how many can be said; the intervals of `change` and `delta` hold together with `confidence`.
        confidence: that all of them do.
        resamples: of the test rows.
        chosen: the network with the highest Δm on the validation rows; None where no seed was enough to tell.
    """

    networks: list[NetworkResult]
    metrics: dict[str, str]
    rows: dict[str, int]
    task_rows: dict[str, int]
    seeds: list[int]
    verdicts: int
    confidence: float
    resamples: int
    chosen: str | None

    def __getitem__(self, name: str) -> NetworkResult:
        """A network by its name or its label.

        Raises:
            KeyError: there is none of that name.
        """
        for network in self.networks:
            if name in (network.name, network.label):
                return network
        raise KeyError(name)

    @property
    def gains(self) -> list[tuple[str, str]]:
        """Network and task wherever sharing is seen to gain."""
        return self._where("gains")

    @property
    def losses(self) -> list[tuple[str, str]]:
        """Network and task wherever sharing is seen to lose."""
        return self._where("loses")

    def to_json(self) -> dict[str, Any]:
        """In plain values."""
        return asdict(self)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """What lies in a comparison's folder, or in its `comparison.json`.

        Raises:
            UserError: it is not there, or no such file.
        """
        file = Path(path) / "comparison.json" if Path(path).is_dir() else Path(path)
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            return cls(**raw | {"networks": [_network(network) for network in raw["networks"]]})
        except FileNotFoundError:
            raise UserError(f"{file} does not exist; trunkline compare writes it") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file} cannot be read: {error}") from None

    def _where(self, word: str) -> list[tuple[str, str]]:
        return [
            (network.label, task)
            for network in self.networks
            if network.kind == "network"
            for task, result in network.tasks.items()
            if result.verdict == f"{task} {word}"
        ]


def _network(raw: Mapping[str, Any]) -> NetworkResult:
    tasks = {
        name: TaskResult(**task | {"mean": Interval(**task["mean"]), "change": _interval(task["change"])})
        for name, task in raw["tasks"].items()
    }
    return NetworkResult(**{**raw, "tasks": tasks, "delta": _interval(raw["delta"])})


def _interval(raw: Mapping[str, Any] | None) -> Interval | None:
    return None if raw is None else Interval(**raw)
