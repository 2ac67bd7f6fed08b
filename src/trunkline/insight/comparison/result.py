"""The result of a comparison."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, final

from trunkline.errors import UserError
from trunkline.insight.comparison.sentence import sentence
from trunkline.insight.result_file import read_result
from trunkline.insight.statistics.intervals import Interval


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
    """Result of a comparison, as `comparison.json` holds it.

    Attributes:
        networks: the single-task networks first, then the config itself, its variants, and trees.
        metrics: by task, what it is judged by.
        rows: of each part, and by task the test rows with a label.
        seeds: of the runs.
        verdicts: how many can be said; the intervals of `change` and `delta` hold together with `confidence`.
        confidence: that all of them do.
        resamples: of the test rows.
        chosen: the network with the highest Δm on the validation rows; None where no seed was enough to tell.
        left_out: tasks that Δm is not taken over, and why.
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
    left_out: dict[str, str] = field(default_factory=dict)

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
    def subject(self) -> NetworkResult | None:
        """The network that the last word is about: the chosen one, or else the first shared one."""
        shared = [one for one in self.networks if one.kind == "network"]
        return next((one for one in shared if one.name == self.chosen), shared[0] if shared else None)

    @property
    def sentence(self) -> str:
        """What the comparison says, to be repeated: for which tasks sharing gains or loses, and by how much."""
        return sentence(
            self.subject,
            self.metrics,
            seeds=len(self.seeds),
            confidence=self.confidence,
            of_several=self.chosen is not None and sum(one.kind == "network" for one in self.networks) > 1,
        )

    @property
    def gains(self) -> list[tuple[str, str]]:
        """Network and task wherever sharing is seen to gain."""
        return self._where("gains")

    @property
    def losses(self) -> list[tuple[str, str]]:
        """Network and task wherever sharing is seen to lose."""
        return self._where("loses")

    def to_json(self) -> dict[str, Any]:
        """In plain values, the sentence first."""
        return {"sentence": self.sentence} | asdict(self)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """What lies in a comparison's folder, or in its `comparison.json`.

        Raises:
            UserError: it is not there, or no such file.
        """
        file = Path(path) / "comparison.json" if Path(path).is_dir() else Path(path)
        return read_result(file, cls, "compare")._checked(file)

    def _checked(self, file: Path) -> Self:
        """Itself, if what its parts say of one another holds.

        Raises:
            UserError: it does not.
        """
        strangers = [(n.label, task) for n in self.networks for task in n.tasks if task not in self.metrics]
        problem = None
        if [network.kind for network in self.networks][:1] != ["alone"]:
            problem = "the first of its networks must be those of one task each"
        elif self.task_rows.keys() != self.metrics.keys():
            problem = "metrics and task_rows must hold the same tasks"
        elif unknown := self.left_out.keys() - self.metrics.keys():
            problem = f"left_out has a task {min(unknown)!r} that metrics does not have"
        elif strangers:
            problem = f"{strangers[0][0]} has a task {strangers[0][1]!r} that metrics does not have"
        elif self.chosen not in (None, *(network.name for network in self.networks)):
            problem = f"chosen is {self.chosen!r}, which is none of its networks"
        if problem is not None:
            raise UserError(f"{file} cannot be read: {problem}")
        return self

    def _where(self, word: str) -> list[tuple[str, str]]:
        return [
            (network.label, task)
            for network in self.networks
            if network.kind == "network"
            for task, result in network.tasks.items()
            if result.verdict == f"{task} {word}"
        ]
